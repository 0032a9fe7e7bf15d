"""`events`, asked of a small server of events."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec

from tests.client.publishing import CUT, block, publishing
from tests.client.terminal import terminal
from tests.command import command, finished, free_ports

OPERATION = block("operation", '{"operation":{"operation_id":"op-\\u001b[2J","stage":"Executing","worker_id":"[red]w"}}', "e-2")


async def test_a_line_for_every_event_until_it_is_told_to_stop() -> None:
    async with publishing() as publisher:
        async with command("events", "--stage", "executing", "--kind", "operations", "--url", publisher.url) as events:
            publisher.say(block("snapshot", '{"epoch":"e","revision":1}', "e-1"), OPERATION)
            assert await events.printed(r"^\d\d:\d\d:\d\d  (from here  every change after revision 1)$")
            assert await events.printed(r"^\d\d:\d\d:\d\d  operation  (op-\\x1b\[2J) +  Executing on \[red\]w$")
            publisher.say(CUT)
            await events.logged("the gateway is back")
            events.send(signal.SIGINT)
            assert await events.ended() == 0
            assert len(events.log) == 2
        address = "/api/v1/events?stage=executing&kind=operations"
        assert publisher.came == [(address, None), (address, "e-2")]


async def test_json_lines_have_the_event_its_id_and_its_data_as_it_came() -> None:
    async with publishing() as publisher:
        async with command("events", "--json", "--since", "e-1", "--url", publisher.url) as events:
            publisher.say(OPERATION)
            line = await events.printed(r"^(.*)$")
            events.send(signal.SIGINT)
            assert await events.ended() == 0
        told = json.loads(line)
        assert (told["event"], told["id"], told["data"]["operation"]["operation_id"]) == ("operation", "e-2", "op-\x1b[2J")
        assert publisher.came[0][0] == "/api/v1/events?since=e-1"


async def test_a_terminal_gets_colours_and_no_sequence_of_anybody_else() -> None:
    async with publishing() as publisher, terminal("events", "--url", publisher.url) as shown:
        publisher.say(OPERATION)
        await shown.until(lambda screen: "on [red]w" in screen)
        assert "\x1b[32mExecuting" in shown.text
        assert "\x1b[2J" not in shown.text
        shown.press(b"\x03")
        assert await shown.ended() == 0


async def test_a_reader_that_has_seen_enough_ends_it() -> None:
    async with publishing() as publisher:
        line = f"{sys.executable} -m gateway.cli events --url {publisher.url} | head -n 1; exit ${{PIPESTATUS[0]}}"
        process = await create_subprocess_exec("bash", "-c", line, stdout=PIPE, stderr=PIPE)
        publisher.say(OPERATION)
        assert process.stdout is not None
        assert b"operation" in await process.stdout.readline()
        waiting = asyncio.create_task(process.wait())
        # Not before the next one is it noticed that nobody reads.
        while not (await asyncio.wait([waiting], timeout=0.05))[0]:
            publisher.say(OPERATION)
        _, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")


async def test_nobody_there_at_the_beginning_is_exit_code_4() -> None:
    (port,) = free_ports(1)
    code, out, err = await finished("events", "--url", f"http://127.0.0.1:{port}")
    assert (code, out) == (4, "")
    assert "nobody answers at" in err
