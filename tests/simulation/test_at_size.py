from __future__ import annotations

import asyncio
import resource

import pytest

from gateway.errors import StartError
from gateway.simulation.at_size import is_large, scheduler_process, taps_needed
from gateway.simulation.demo import free_addresses
from gateway.simulation.load import Load


def test_many_workers_or_a_high_rate_are_large() -> None:
    assert not is_large(Load(workers=200, rate=50))
    assert is_large(Load(workers=201, rate=1))
    assert is_large(Load(workers=1, rate=51))


def test_as_many_taps_as_hold_all_connections_and_some_room_where_they_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20_000, 20_000))
    assert taps_needed(Load(workers=9_000), 9_872) == 1
    assert taps_needed(Load(workers=10_000), 9_872) == 2
    assert taps_needed(Load(workers=19_000), 9_872) == 3
    with pytest.raises(StartError, match=r"--workers 30000: .*\(ulimit -Hn 30128\) or start at most 19872 workers"):
        taps_needed(Load(workers=30_000), 9_872)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert taps_needed(Load(workers=100_000), 1_000_000) == 1


async def test_the_schedulers_process_listens_and_ends_when_it_is_left() -> None:
    at = free_addresses(has_cas=True)
    assert at.cas is not None
    async with scheduler_process(Load(), at.execution_listen, at.worker_listen, at.cas) as process:

        async def connected() -> bool:
            try:
                _, writer = await asyncio.open_connection(at.worker_listen.host, at.worker_listen.port)
            except OSError:
                return False
            writer.close()
            return True

        while not await connected():  # noqa: ASYNC110 - what is waited for is another process's state
            await asyncio.sleep(0.05)
        assert not process.done()
    assert process.result() == 0
