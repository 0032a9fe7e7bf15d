"""What a process leaves for the next one: checkpoints of observe, and what a tap hands over to its successor."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from gateway.config.types import Config
from gateway.observe.checkpoint import codec, file
from gateway.observe.checkpoint.codec import DamagedError
from gateway.observe.checkpoint.restore import restore
from gateway.observe.introspection.history import History
from gateway.observe.observer import model_settings
from gateway.tap import snapshot
from gateway.tap.handover.messages import Hello, MessageError, State, decode_open_state, encode_open_state
from gateway.tap.moving import Moving, MovingSide, Reading
from gateway.tap.ring import Ring
from gateway.tap.snapshot import Snapshot, SnapshotError
from tests.fuzz import corpus
from tests.fuzz.target import Target
from tests.fuzz.wire_targets import changed_bytes
from tests.observe.checkpoint.saved import SOURCE, Following, dumped, eventful
from tests.observe.records import config
from tests.tap.reading import Wire

_WRITTEN = 1_700_000_000_000_000_000


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fuzz-")


def _settings() -> Config:
    return config(Path(_folder().name))


@cache
def _followed() -> Sequence[Following]:
    """Observers of more and more."""
    settings = _settings()
    found = []
    for count in (0, 12, 200):
        (settings.state_dir / file.NAME).unlink(missing_ok=True)
        following = Following(restore(settings, model_settings(settings), [SOURCE], _WRITTEN).state, settings)
        following.receive(eventful()[:count])
        found.append(following)
    return found


@cache
def _checkpoints() -> Sequence[bytes]:
    settings = _settings()
    found = []
    for following in _followed():
        for history in (None, History("epoch")):
            dump = partial(codec.dump, replace(following.state, history=history))
            file.write(settings.state_dir, dump, written_at=_WRITTEN, continues=history is not None)
            found.append((settings.state_dir / file.NAME).read_bytes())
    return found


def checkpoints(_chance: random.Random, data: bytes) -> None:
    """A damaged file is set aside, and the next start does not meet it; one that is not is gone on from."""
    settings = _settings()
    path = settings.state_dir / file.NAME
    path.write_bytes(data)
    began = restore(settings, model_settings(settings), [SOURCE], _WRITTEN)
    began.state.model.validate()
    if began.written_at is None:
        assert not path.exists()
        assert restore(settings, model_settings(settings), [SOURCE], _WRITTEN).written_at is None
    else:
        assert restore(settings, model_settings(settings), [SOURCE], _WRITTEN).written_at == began.written_at


@cache
def _states() -> Sequence[bytes]:
    """As a checkpoint has them, without compression."""
    return [zstandard.ZstdDecompressor().decompressobj().decompress(dumped(following.state)) for following in _followed()]


def checkpointed_states(_chance: random.Random, data: bytes) -> None:
    """Behind a checksum that is right, as if a defect had written it: a state whose indexes hold, or a clear line."""
    with contextlib.suppress(DamagedError):
        codec.load(zstandard.ZstdCompressor(level=1).compress(data)).model.validate()


def _wires() -> Sequence[Wire]:
    found = []
    for said in corpus.conversations()[::4]:
        wire = Wire(http2=False)
        for is_client, data in said:
            (wire.client if is_client else wire.server)(data)
        found.append(wire)
    return found


@cache
def _runs() -> Sequence[bytes]:
    return [snapshot.dump(Snapshot(wire.journal, {1: wire.decoder}, ([1, 2], 3), 4)) for wire in _wires()]


def handed_over_runs(_chance: random.Random, data: bytes) -> None:
    """What decoders know."""
    with contextlib.suppress(SnapshotError):
        snapshot.load_run(data)


@cache
def _open_states() -> Sequence[bytes]:
    found = []
    for stream in corpus.record_streams():
        ring = Ring(4096)
        for record in stream:
            ring.append(record)
        found.append(snapshot.dump(ring.state))
    return found


def handed_over_open_states(_chance: random.Random, data: bytes) -> None:
    """What was open before the ring's first record."""
    with contextlib.suppress(SnapshotError):
        snapshot.load_open_state(data)


def _messages() -> Sequence[bytes]:
    side = MovingSide(unsent=b"not sent yet", finished=True)
    connections = [
        Moving(number, "execution", f"10.0.0.1:{number}", reading, side, MovingSide() if number else None, 1, number == 1)
        for number, reading in enumerate(Reading)
    ]
    hello = Hello(1, "0.1", "layout", supervised=True, taps=[["execution", "a:1", "b:2", ["execution"], None]])
    state = State(5, ["execution", "workers"], connections, b"records")
    return [hello.encode(), state.encode(), encode_open_state(5, 6, b"state")]


def handover_messages(_chance: random.Random, data: bytes) -> None:
    """What two taps tell each other."""
    for decode in (Hello.decode, State.decode, decode_open_state):
        with contextlib.suppress(MessageError):
            decode(data)


TARGETS = (
    Target(_checkpoints, changed_bytes, checkpoints, ("/observe/checkpoint/",), 200),
    Target(_states, changed_bytes, checkpointed_states, ("/observe/checkpoint/", "/gateway/model/"), 200),
    Target(_runs, changed_bytes, handed_over_runs, ("/gateway/tap/",), 300),
    Target(_open_states, changed_bytes, handed_over_open_states, ("/gateway/tap/",), 1_000),
    Target(_messages, changed_bytes, handover_messages, ("/tap/handover/",), 3_000),
)
