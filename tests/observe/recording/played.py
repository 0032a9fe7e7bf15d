"""Recordings as files, and what a model makes of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe.observer import model_settings
from gateway.observe.translate import Translator
from gateway.observe.wire import delimited
from gateway.pb import tap_pb2
from tests.fuzz.corpus import record_streams
from tests.observe.records import config
from tests.tap.reading import parse

#: Records of the shared recordings.
STREAMS = [[parse(record) for record in stream] for stream in record_streams()]


def written(folder: Path, records: Iterable[tap_pb2.TapRecord], name: str = "recording") -> Path:
    file = folder / name
    file.write_bytes(b"".join(delimited(record.SerializeToString()) for record in records))
    return file


def moments(records: Iterable[tap_pb2.TapRecord], settings: Config | None = None) -> Iterator[SchedulerModel]:
    """The model after each record; always the same one."""
    settings = settings or config()
    model, translator = SchedulerModel(model_settings(settings)), Translator(settings)
    for record in records:
        for event in translator.translate(record):
            model.apply(event)
        model.advance(translator.now)
        yield model
    model.validate()


def played(records: Iterable[tap_pb2.TapRecord]) -> SchedulerModel:
    """The model at the end."""
    *_, model = moments(records)
    return model
