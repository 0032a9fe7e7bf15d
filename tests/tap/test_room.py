from __future__ import annotations

import resource

import pytest

from gateway.tap.room import Room, connections_that_fit


@pytest.mark.parametrize(("soft", "fit"), [(4_096, 1_920), (256, 1), (10**9, 1_000_000), (resource.RLIM_INFINITY, 1_000_000)])
def test_two_descriptors_a_connection_and_some_for_everything_else(soft: int, fit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert connections_that_fit() == fit


def test_whoever_waits_is_told_once_when_a_place_is_given_back() -> None:
    told: list[str] = []
    room = Room(1)
    assert room.enter()
    assert not room.enter()
    room.wait(lambda: told.append("a"))
    room.wait(lambda: told.append("b"))
    room.leave()
    assert (told, room.used) == (["a", "b"], 0)
    assert room.enter()
    room.leave()
    assert told == ["a", "b"]
