import asyncio
import sys

import pytest

from gateway.role_process import PACES, Pace, Role, describe_end
from tests.command import PATIENCE_S


def test_the_tap_is_started_again_at_once_and_nobody_without_bound() -> None:
    assert PACES["tap"].delay_s(1) == 0
    assert [PACES["tap"].delay_s(failures) for failures in (5, 6, 1000)] == [1, 1, 1]
    assert [PACES["serve"].delay_s(failures) for failures in range(1, 9)] == [0.5, 1, 2, 4, 8, 15, 30, 30]


async def kept(role: Role, caplog: pytest.LogCaptureFixture, lines: int) -> list[str]:
    """What is logged of a role until there are so many lines of its ends."""
    caplog.set_level("INFO")
    keeping = asyncio.create_task(role.keep(), name="keep")
    async with asyncio.timeout(PATIENCE_S):
        while len(ends := _ends(caplog)) < lines:  # noqa: ASYNC110 # caplog sets no event
            await asyncio.sleep(0.01)
    role.end()
    async with asyncio.timeout(PATIENCE_S):
        await keeping
    return ends


def _ends(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "again" in each.getMessage()]


async def test_delays_grow_with_each_end_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    role = Role("short", [sys.executable, "-c", "raise SystemExit(3)"], {}, Pace((0, 0.01, 0.02), healthy_s=1000))
    ends = await kept(role, caplog, lines=4)
    assert [each.rpartition("again ")[2] for each in ends] == ["at once", "in 0.01 s", "in 0.02 s", "in 0.02 s"]
    assert "ended with exit code 3" in ends[0]


async def test_a_healthy_while_begins_the_delays_anew(caplog: pytest.LogCaptureFixture) -> None:
    role = Role("steady", [sys.executable, "-c", ""], {}, Pace((0.01, 0.02), healthy_s=0))
    ends = await kept(role, caplog, lines=3)
    assert [each.rpartition("again ")[2] for each in ends] == ["in 0.01 s"] * 3


async def test_a_program_that_is_not_there_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    ends = await kept(Role("lost", ["/nonexistent/python"], {}, Pace((0.01,), healthy_s=1000)), caplog, lines=2)
    assert ends[0].startswith("role lost could not be started (No such file or directory)")


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (70, "ended with exit code 70"), (-9, "was ended by SIGKILL"), (-60, "was ended by signal 60")],
)
def test_an_end_has_words(code: int, words: str) -> None:
    assert describe_end(code) == words
