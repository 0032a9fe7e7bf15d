"""Drains on the disk."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.draining import file
from gateway.observe.draining.keys import Keys, Use
from gateway.observe.draining.records import Counts, DrainState, Kind, TargetState, Wish
from gateway.observe.draining.register import Register
from gateway.observe.rejected import SUFFIX
from tests.observe.draining.workers import drain, worker, workers


def _kept() -> tuple[Register, Keys]:
    register, there = Register(), workers(worker("w-ä", is_draining=True, cpu="8"), worker("w-2"))
    for each in (drain("d-1"), drain("d-2", Kind.PROPERTY, "8", "cpu"), drain("d-3", Kind.WORKER, "w-2")):
        register.create(each, there)
    register.done("w-ä", Wish.DRAIN, 1.0)
    register.failed("w-2", Wish.DRAIN, 1.0, "refused", "no")
    register.look(there, 5)
    register.cancel(register.get("d-3"), "me", 9, undrain=False)
    return register, Keys([Use("me", "k", "drain", "d-1", 4)])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file.write(tmp_path, file.dump(*_kept()))
    assert (tmp_path / file.NAME).stat().st_mode & 0o777 == 0o600
    register, keys = file.read(tmp_path)
    assert file.dump(register, keys) == file.dump(*file.read(tmp_path))
    assert [(each.id, each.selector) for each in register] == [(each.id, each.selector) for each in _kept()[0]]
    assert list(keys) == [Use("me", "k", "drain", "d-1", 4)]
    over = register.get("d-3")
    assert (over.state, over.ended_at, over.ended_by, over.final) == (DrainState.CANCELLED, 9, "me", Counts(1, 0, 0, 1, 0))
    assert [each.id for each in register.busy] == ["d-1", "d-2"]


def test_what_nativelink_was_asked_for_is_asked_again_only_where_it_does_not_show(tmp_path: Path) -> None:
    file.write(tmp_path, file.dump(*_kept()))
    register, _ = file.read(tmp_path)
    register.look(workers(worker("w-ä", is_draining=True), worker("w-2")), 0)
    assert register.due(0) == ["w-2"]
    assert register.get("d-1").targets["w-ä"].state is TargetState.DRAINING


def test_without_a_file_there_are_no_drains(tmp_path: Path) -> None:
    register, keys = file.read(tmp_path)
    assert (list(register), list(keys)) == ([], [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-10],
        lambda text: text.replace('"version":1', '"version":2'),
        lambda text: text.replace('"created_at":1', '"created_at":"x"'),
        lambda text: text.replace('"kind":"prefix"', '"kind":"else"'),
        lambda text: text.replace('"id":"d-1"', '"id":7'),
        lambda _: "[]",
        lambda _: "",
    ],
)
def test_a_file_that_cannot_be_read_is_set_aside(damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert callable(damage)
    (tmp_path / file.NAME).write_text(damage(file.dump(*_kept()).decode()))
    register, _ = file.read(tmp_path)
    assert list(register) == []
    assert "set aside as drains.json.rejected" in caplog.text
    assert not (tmp_path / file.NAME).exists()
    assert (tmp_path / f"{file.NAME}{SUFFIX}").exists()


def test_a_file_that_cannot_be_set_aside_is_said_to_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / file.NAME).write_text("damaged")
    (tmp_path / f"{file.NAME}{SUFFIX}").mkdir()
    file.read(tmp_path)
    assert "it stays where it is (Is a directory), and there are no drains" in caplog.text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_no_json_of_another_shape_is_more_than_rejected(value: object) -> None:
    for key in ("drains", "keys"):
        text = json.dumps({"version": 1, "drains": [], "keys": [], key: value})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "open", lambda *_, text=text: io.BytesIO(text.encode()))
            patch.setattr(Path, "replace", lambda *_: None)
            register, _ = file.read(Path("/nonexistent"))
        assert list(register) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file.write(tmp_path, b"old")
    (tmp_path / f"{file.NAME}.new").mkdir()
    with pytest.raises(OSError, match="director"):
        file.write(tmp_path, b"new")
    assert (tmp_path / file.NAME).read_bytes() == b"old"
