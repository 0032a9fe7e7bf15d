from __future__ import annotations

import pytest

from gateway.simulation import playbook as module
from gateway.simulation.cas import digest_of
from gateway.simulation.playbook import Playbook, Run

ACTION, OTHER = digest_of(b"action"), digest_of(b"other")


def test_the_first_runs_fail_as_often_as_written() -> None:
    playbook = Playbook()
    run = Run(internal_errors=2)
    playbook.write(ACTION, run)
    assert [playbook.begin(ACTION) for _ in range(3)] == [(run, True), (run, True), (run, False)]


def test_what_is_not_written_down_succeeds() -> None:
    assert Playbook().begin(ACTION) == (Run(), False)


def test_at_the_bound_the_oldest_run_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ACTIONS", 1)
    playbook = Playbook()
    playbook.write(ACTION, Run(exit_code=1))
    playbook.write(OTHER, Run(exit_code=2))
    assert (playbook.begin(ACTION)[0].exit_code, playbook.begin(OTHER)[0].exit_code) == (0, 2)


async def test_a_gate_stays_open_for_those_who_come_later() -> None:
    playbook = Playbook()
    playbook.open("now")
    await playbook.gate("now").wait()
    assert not playbook.gate("later").is_set()
