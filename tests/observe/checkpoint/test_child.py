"""Work in a copy of this process, on real processes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import uvloop

from gateway.observe.checkpoint.child import do_in_child
from tests.command import PATIENCE_S, is_alive

_ENDLESS_S = 600


def note(path: Path, text: str) -> None:
    path.write_text(text)


def fail() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def stay(path: Path) -> None:
    """Say who it is, and do not end."""
    new = path.with_suffix(".new")
    new.write_text(str(os.getpid()))
    new.rename(path)
    time.sleep(_ENDLESS_S)


def read(path: Path) -> int | None:
    return int(path.read_text()) if path.exists() else None


async def there(path: Path) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while (pid := read(path)) is None:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.005)
    return pid


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while is_alive(pid):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_work_is_done_by_another_process(tmp_path: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    def work() -> None:
        note(tmp_path / "who", f"{os.getppid()} {os.nice(0)}")

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for _ in range(3):
            assert runner.run(do_in_child(work, PATIENCE_S)) is None
    parent, niceness = (tmp_path / "who").read_text().split()
    assert int(parent) == os.getpid()
    assert int(niceness) > os.nice(0)


async def test_what_it_sees_is_of_the_moment_of_the_call(tmp_path: Path) -> None:
    seen = ["before"]

    def work() -> None:
        time.sleep(0.05)
        note(tmp_path / "seen", "".join(seen))

    task = asyncio.create_task(do_in_child(work, PATIENCE_S), name="child")
    await asyncio.sleep(0.01)
    seen.append("after")
    assert await task is None
    assert (tmp_path / "seen").read_text() == "before"


async def test_what_went_wrong_is_told_in_words() -> None:
    assert await do_in_child(fail, PATIENCE_S) == "No space left on device"
    assert "ZeroDivisionError" in (await do_in_child(lambda: note(Path(), str(1 // 0)), PATIENCE_S) or "")


async def test_a_copy_that_dies_is_told_of() -> None:
    problem = await do_in_child(lambda: os.kill(os.getpid(), signal.SIGSEGV), PATIENCE_S)
    assert problem == f"its process was ended by signal {int(signal.SIGSEGV)}"


async def test_a_copy_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    problem = await do_in_child(partial(stay, tmp_path / "pid"), 1)
    assert problem == "it took longer than 1 s"
    assert not is_alive(await there(tmp_path / "pid"))


async def test_who_stops_waiting_ends_it(tmp_path: Path) -> None:
    task = asyncio.create_task(do_in_child(partial(stay, tmp_path / "pid"), _ENDLESS_S), name="child")
    pid = await there(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(pid)


async def test_no_process_to_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = descriptors()
    monkeypatch.setattr(os, "fork", none)
    assert await do_in_child(fail, 1) == "no process can be made for it: Resource temporarily unavailable"
    assert descriptors() == before


async def test_it_holds_no_lock_of_its_parent(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    task = asyncio.create_task(do_in_child(partial(stay, tmp_path / "pid"), _ENDLESS_S), name="child")
    await there(tmp_path / "pid")
    os.close(descriptor)
    other = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.observe.checkpoint.test_child import stay\n"
        "from gateway.observe.checkpoint.child import do_in_child\n"
        "asyncio.run(do_in_child(lambda: stay(pathlib.Path(sys.argv[1])), 600))\n"
    )
    root = Path(__file__).parents[3]
    parent = await create_subprocess_exec(sys.executable, "-c", script, str(tmp_path / "pid"), str(root), stderr=PIPE)
    pid = await there(tmp_path / "pid")
    parent.kill()
    await parent.communicate()
    await gone(pid)


async def test_what_other_threads_hold_does_not_matter(tmp_path: Path) -> None:
    """Threads that hold Python's and the allocator's locks all the time: every copy still ends."""
    over = False

    def busy() -> int:
        made = 0
        while not over:
            made += len([bytes(100_000) for _ in range(10)])
        return made

    threads = [asyncio.create_task(asyncio.to_thread(busy), name="busy") for _ in range(3)]
    try:
        for number in range(20):
            assert await do_in_child(partial(note, tmp_path / "n", str(number)), PATIENCE_S) is None
    finally:
        over = True
        await asyncio.gather(*threads)
    assert (tmp_path / "n").read_text() == "19"
