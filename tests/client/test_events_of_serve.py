"""What waits and what does not end, asked of a real `serve`."""

from __future__ import annotations

import asyncio
import json
import signal

from gateway.pb import introspection_pb2 as pb
from tests.command import command, finished
from tests.serve.builders import operation
from tests.serve.implementer import Implementer


async def test_events_are_told_as_they_happen(implementer: Implementer, url: str) -> None:
    async with command("events", "--kind", "operations", "--stage", "executing,completed", "--url", url) as events:
        assert await events.printed(r"  (from here  every change after revision \d+)$")
        implementer.set(operations=[operation(9, pb.STAGE_QUEUED, id_="op-9")])
        implementer.set(operations=[operation(9, pb.STAGE_EXECUTING, id_="op-9", worker_id="w\x1b")])
        assert await events.printed(r"  operation  op-9 +  (.*)$") == r"Executing on w\x1b"
        implementer.set(gone_operations=[9])
        assert await events.printed(r"  operation  op-9 +  (.*)$") == r"no longer listed: Executing on w\x1b"
        events.send(signal.SIGINT)
        assert await events.ended() == 0


async def test_json_lines_have_what_the_api_has_and_go_on_where_they_are_told(implementer: Implementer, url: str) -> None:
    async with command("events", "--json", "--kind", "operations", "--url", url) as events:
        first = json.loads(await events.printed("^(.*)$"))
        implementer.set(operations=[operation(9, pb.STAGE_QUEUED, id_="op-9")])
        second = json.loads(await events.printed("^(.*)$"))
    assert (first["event"], second["event"]) == ("snapshot", "operation")
    assert second["data"]["operation"]["operation_id"] == "op-9"
    async with command("events", "--json", "--kind", "operations", "--since", first["id"], "--url", url) as events:
        assert json.loads(await events.printed("^(.*op-9.*)$")) == second


async def test_an_operation_is_waited_for(implementer: Implementer, url: str) -> None:
    arguments = ("operation", "op-456", "--wait-for", "completed", "--json", "--url", url)
    waiting = asyncio.create_task(finished(*arguments))
    code, out, err = await finished(*arguments, "--timeout", "0.01")
    assert (code, json.loads(out)["stage"]) == (1, "Executing")
    assert err == "nativelink-gateway operation: operation op-456 is not completed after 0.01 s\n"
    implementer.set(operations=[operation(2, pb.STAGE_COMPLETED, id_="op-456")])
    code, out, err = await waiting
    assert (code, json.loads(out)["stage"], err) == (0, "Completed", "")
