"""What observe reads: the tap's records, the protobuf messages in them, and recordings that somebody sent."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.message import DecodeError

from gateway.errors import StartError
from gateway.model.scheduler import SchedulerModel
from gateway.observe.observer import model_settings
from gateway.observe.recording.files import RecordingFiles
from gateway.observe.recording.inspection import Inspection
from gateway.observe.recording.redaction import Redaction
from gateway.observe.translate import Translator
from gateway.observe.wire import FramingError, Splitter, delimited
from gateway.pb import tap_pb2
from tests.fuzz import corpus
from tests.fuzz.mutation import mutated, recut
from tests.fuzz.target import Target
from tests.fuzz.wire_targets import changed_bytes
from tests.observe.checkpoint.saved import eventful
from tests.observe.records import config
from tests.tap.reading import parse

#: Records of a part of a recording.
_PART = 40


@cache
def _parts() -> Sequence[tuple[bytes, ...]]:
    """Length-delimited records, RunStarted first."""
    found = [tuple(delimited(record.SerializeToString()) for record in eventful())]
    for stream in corpus.record_streams():
        found += [(stream[0], *stream[begin : begin + _PART]) for begin in range(1, len(stream), _PART)]
    return found


def _streams() -> Sequence[bytes]:
    return [b"".join(part) for part in _parts()]


def records(chance: random.Random, data: bytes) -> None:
    """Framing, records, events, model: whatever a tap says, the indexes agree with each other."""
    settings = config()
    splitter, translator, model = Splitter(2**20), Translator(settings), SchedulerModel(model_settings(settings))
    try:
        for piece in recut(chance, data):
            for message in splitter.feed(piece):
                try:
                    record = tap_pb2.TapRecord.FromString(bytes(message))
                except DecodeError:
                    continue
                for event in translator.translate(record):
                    model.apply(event)
                model.advance(translator.now)
    except FramingError:
        pass
    model.validate()


@cache
def _parsed() -> Sequence[tuple[tap_pb2.TapRecord, ...]]:
    return [tuple(parse(record) for record in part) for part in _parts()]


def _changed_messages(
    chance: random.Random, part: tuple[tap_pb2.TapRecord, ...], others: Sequence[tuple[tap_pb2.TapRecord, ...]]
) -> tuple[tap_pb2.TapRecord, ...]:
    """Records that are whole, with messages that are not, or that are another's."""
    found = []
    for record in part:
        changed = record
        if record.message.payload and chance.random() < 0.2:
            changed = tap_pb2.TapRecord()
            changed.CopyFrom(record)
            if chance.random() < 0.8:
                changed.message.payload = mutated(chance, record.message.payload)
            else:
                changed.message.payload = chance.choice(chance.choice(others)).message.payload
        elif record.stream_opened.request_metadata and chance.random() < 0.1:
            changed = tap_pb2.TapRecord()
            changed.CopyFrom(record)
            changed.stream_opened.request_metadata = mutated(chance, record.stream_opened.request_metadata)
        if chance.random() < 0.98:
            found.append(changed)
        if chance.random() < 0.01:
            found.append(chance.choice(part))
    return tuple(found)


def messages(_chance: random.Random, said: tuple[tap_pb2.TapRecord, ...]) -> None:
    """The protobuf layer: what cannot be read is said to be so, and the model stays whole."""
    settings = config()
    translator, model = Translator(settings), SchedulerModel(model_settings(settings))
    for record in said:
        for event in translator.translate(record):
            model.apply(event)
        model.advance(translator.now)
    model.validate()


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fuzz-")


def recordings(_chance: random.Random, data: bytes) -> None:
    """A recording from a bug report: inspected, redacted, up to where it is damaged."""
    file = Path(_folder().name) / "recording"
    file.write_bytes(data)
    inspection, redaction = Inspection(is_full=False), Redaction(b"key")
    with contextlib.suppress(StartError):
        for record in RecordingFiles(file, "inspect").records():
            inspection.line(record)
            inspection.as_json(record)
            redaction.redact(record).SerializeToString()
        list(inspection.summary())


TARGETS = (
    Target(_streams, changed_bytes, records, ("/gateway/observe/", "/gateway/model/"), 400),
    Target(_parsed, _changed_messages, messages, ("/gateway/observe/", "/gateway/model/"), 400),
    Target(_streams, changed_bytes, recordings, ("/observe/recording/",), 200),
)
