"""`watch` in a terminal, of a real `serve` that goes away and comes back."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.config.types import Address, Config
from gateway.pb import introspection_pb2 as pb
from tests.client.peer import peering, response
from tests.client.terminal import BEGINS, ENDS, Terminal, terminal
from tests.command import finished, free_ports
from tests.serve.builders import operation
from tests.serve.implementer import Implementer
from tests.serve.running import serving

QUICK = ("--interval", "0.2")


async def has_left(shown: Terminal) -> bool:
    await shown.until(lambda _: ENDS in shown.text)
    return shown.text.count(BEGINS) == shown.text.count(ENDS) == 1


async def test_it_shows_what_runs_and_what_waits_and_changes_as_that_does(implementer: Implementer, url: str) -> None:
    async with terminal("watch", "--url", url, *QUICK, columns=120) as shown:
        lines = [line.rstrip() for line in (await shown.until(lambda screen: "op-456" in screen)).splitlines()]
        assert lines[0].startswith(f"healthy  {url}, scheduler up ")
        assert lines[1] == "workers     5 total   4 active   1 paused      0 draining"
        assert lines[3] == "2 of 2 shown, the longest running first; q ends this"
        assert [line.split()[0] for line in lines[5:8]] == ["OPERATION", "op-456", "op-\\x1b[2J"]
        assert lines[7].endswith("//[red]evil[/red]:\\x1b]0;x\\x07\\u202e")
        implementer.set(operations=[operation(9, pb.STAGE_EXECUTING, id_="op-new", worker_id="w")])
        await shown.until(lambda screen: "op-new" in screen)
        shown.press(b"q")
        assert await shown.ended() == 0
        assert await has_left(shown)


async def test_filters_are_those_of_the_list(url: str) -> None:
    async with terminal("watch", "--url", url, "--stage", "completed", "--worker", "worker-123", *QUICK) as shown:
        await shown.until(lambda screen: "op-4 " in screen and "op-456" not in screen)
        shown.press(b"\x03")
        assert await shown.ended() == 0


async def test_another_size_is_drawn_at_once_and_no_more_rows_than_there_is_room_for(implementer: Implementer, url: str) -> None:
    implementer.set(operations=[operation(arrival, id_=f"op-{arrival}") for arrival in range(10, 60)])
    async with terminal("watch", "--url", url, *QUICK) as shown:
        await shown.until(lambda screen: "18 of 52 shown" in screen)
        shown.resize(2, 9)
        await shown.until(lambda screen: "18 of 52" not in screen)
        shown.resize(40, 100)
        await shown.until(lambda screen: "34 of 52 shown" in screen)
        shown.press(b"q")
        assert await shown.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_the_terminal_as_it_was(url: str, number: signal.Signals) -> None:
    async with terminal("watch", "--url", url) as shown:
        before = shown.modes()
        await shown.until(lambda screen: "op-456" in screen)
        assert shown.modes() != before
        shown.send(number)
        assert await shown.ended() == 0
        assert await has_left(shown)
        assert shown.modes() == before


async def test_a_gateway_that_goes_away_is_said_and_found_again(config: Config, implementer: Implementer) -> None:
    (port,) = free_ports(1)
    fixed = replace(config, http=Address("127.0.0.1", port))
    async with AsyncExitStack() as first:
        await first.enter_async_context(serving(fixed))
        async with terminal("watch", "--url", f"http://127.0.0.1:{port}", *QUICK, columns=120) as shown:
            await shown.until(lambda screen: "op-456" in screen)
            await first.aclose()
            await shown.until(lambda screen: "! away for " in screen and "nobody answers at" in screen and "op-456" in screen)
            async with serving(fixed):
                await shown.until(lambda screen: "away" not in screen and "op-456" in screen)
                shown.press(b"q")
                assert await shown.ended() == 0


async def test_nobody_is_kept_by_a_gateway_that_does_not_answer() -> None:
    asked, is_silent = 0, asyncio.Event()

    def script(head: str) -> list[bytes | None]:
        nonlocal asked
        asked += 1
        if asked > 4:
            is_silent.set()
            return []
        return [response(200, b"[]" if "/operations" in head else b'{"status":"healthy"}')]

    async with peering(script) as peer, terminal("watch", "--url", peer.url, *QUICK) as shown:
        await shown.until(lambda screen: "0 of 0 shown" in screen)
        await is_silent.wait()
        shown.press(b"q")
        assert await shown.ended() == 0


async def test_elsewhere_than_on_a_terminal_it_says_what_there_is_for_scripts(url: str) -> None:
    code, out, err = await finished("watch", "--url", url)
    assert (code, out) == (2, "")
    assert "`events --json`" in err


async def test_what_fails_at_once_is_told_as_any_command_does(url: str) -> None:
    (port,) = free_ports(1)
    for arguments, code in ((("--url", f"http://127.0.0.1:{port}"), 4), (("--url", url, "--stage", "x"), 2)):
        async with terminal("watch", *arguments) as shown:
            assert await shown.ended() == code
            await shown.until(lambda screen: "nativelink-gateway watch: " in screen)
            assert BEGINS not in shown.text
