"""States as bytes: what belongs to a state comes back, and nothing else is ever made."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import zstandard

from gateway.model.story import lines
from gateway.observe.checkpoint import codec, layout
from gateway.observe.checkpoint.codec import DamagedError
from gateway.observe.checkpoint.state import State
from gateway.pb import tap_pb2, worker_api_pb2
from tests.observe.checkpoint.saved import SOURCE, Following, dumped, eventful, through
from tests.observe.checkpoint.test_going_on import empty


def packed(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(pickle.dumps(value, 5))


def test_protobuf_messages_are_part_of_a_state() -> None:
    state = empty()
    Following(state).receive(eventful()[:60])
    run = state.translators[SOURCE].run
    loaded = through(state).translators[SOURCE].run
    assert run is not None
    assert loaded is not None
    assert run.listeners["execution"].totals == loaded.listeners["execution"].totals
    assert isinstance(loaded.listeners["execution"].totals, tap_pb2.ListenerTotals)
    assert isinstance(
        layout.MESSAGES[worker_api_pb2.ConnectWorkerRequest.DESCRIPTOR.full_name](), worker_api_pb2.ConnectWorkerRequest
    )


def test_what_translators_share_they_still_share() -> None:
    state = through(empty())
    assert state.translators[SOURCE]._cacheability is state.cacheability


def test_every_class_that_may_be_named_is_named_by_some_state(monkeypatch: pytest.MonkeyPatch) -> None:
    named: set[Any] = set()

    class Noting(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            named.add(key)
            return super().get(key, default)

    monkeypatch.setattr(codec, "_ALLOWED", Noting(codec._ALLOWED))
    following = Following(empty())
    for record in eventful():
        following.receive([record])
        following.published.publish()
        following.state.history = following.published.history
        following = Following(through(following.state))
    assert layout.CLASSES.keys() - named == set()


@pytest.mark.parametrize("named", [print, object(), State, ValueError("x")], ids=["function", "object", "a class", "exception"])
def test_a_state_names_nothing_else(named: object) -> None:
    with pytest.raises(DamagedError):
        codec.load(packed([named, {"a": 1}]))


def test_nothing_is_called_that_is_no_part_of_a_state(capsys: pytest.CaptureFixture[str]) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("called",)

    with pytest.raises(DamagedError, match=r"it names builtins\.print"):
        codec.load(packed(Evil()))
    assert not capsys.readouterr().out


@pytest.mark.parametrize("change", [{"model": None}, {"history": 1}, {"translators": {"a": 1}}, {"release": 5}])
def test_a_state_of_other_parts_is_none(change: dict[str, Any]) -> None:
    state = empty()
    for name, value in change.items():
        setattr(state, name, value)
    with pytest.raises(DamagedError, match="something else"):
        through(state)


@pytest.mark.parametrize("data", [b"", b"x" * 100, packed(5), dumped(empty())[:-20]], ids=["empty", "other", "number", "cut off"])
def test_bytes_that_are_no_state_are_damage(data: bytes) -> None:
    with pytest.raises(DamagedError):
        codec.load(data)


def test_a_model_that_contradicts_itself_is_damage() -> None:
    state = empty()
    Following(state).receive(eventful()[:60])
    state.model._register.by_client_id.clear()
    with pytest.raises(DamagedError, match="not so: "):
        through(state)


def test_lines_of_a_story_stay_as_many_as_they_were() -> None:
    state = empty()
    Following(state).receive(eventful()[:60])
    register = through(state).model._register
    worker = next(iter(register.workers.values()))
    for _ in range(100):
        register.tell(worker, "again")
    assert len(lines(worker.story)) == 64


def test_a_full_disk_is_the_systems_error() -> None:
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        codec.dump(empty(), full)
