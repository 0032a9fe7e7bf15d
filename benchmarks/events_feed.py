"""Feeds of the events benchmark: `python -m benchmarks.events_feed ROLE TARGET RATE SECONDS`, each making the same changes.

gateway  an implementer of introspection.proto in the directory TARGET, which sends a batch every 20 ms, as observe does
nchan    posts the changes of 100 ms as one message to the address TARGET: as often as the gateway writes to a thousand clients

Waits for a line on standard input, makes RATE changes a second for SECONDS, prints how many that were, and stays until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import aiohttp
import uvloop

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import operation_json
from tests.serve.builders import busy_operation, documented_scheduler
from tests.serve.implementer import Implementer

_BATCH_S = 0.02
_MESSAGE_S = 0.1
#: Operations that change in turn.
_OPERATIONS = 1_000


class _Changes:
    """At a steady rate, each with its number and when it was made."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate = rate
        self.total = round(rate * seconds)
        self.made = 0
        self._began = time.monotonic()

    def due(self) -> list[pb.Operation]:
        """Those that should have been made by now."""
        until = min(self.total, int((time.monotonic() - self._began) * self.rate))
        made = [self._make(number) for number in range(self.made, until)]
        self.made = until
        return made

    def _make(self, number: int) -> pb.Operation:
        operation = busy_operation(1 + number % _OPERATIONS)
        operation.action_digest.hash = f"{time.monotonic_ns():016x}{number:048x}"
        return operation


async def _until_told() -> None:
    await asyncio.to_thread(sys.stdin.readline)


async def _gateway(target: str, rate: float, seconds: float) -> None:
    implementer = Implementer(f"unix:{Path(target) / 'introspection.sock'}")
    implementer.set(operations=map(busy_operation, range(1, _OPERATIONS + 1)), scheduler=documented_scheduler())
    async with implementer:
        told = asyncio.create_task(_until_told(), name="until told")
        while not told.done():
            implementer.tick()
            await asyncio.sleep(_BATCH_S)
        changes = _Changes(rate, seconds)
        while changes.made < changes.total:
            implementer.set(operations=changes.due())
            await asyncio.sleep(_BATCH_S)
        print(changes.total, flush=True)
        while True:
            implementer.tick()
            await asyncio.sleep(_BATCH_S)


async def _nchan(target: str, rate: float, seconds: float) -> None:
    async with aiohttp.ClientSession() as session:
        await _until_told()
        changes = _Changes(rate, seconds)
        while changes.made < changes.total:
            body = b"\n".join(map(operation_json, changes.due()))
            if body:
                async with session.post(target, data=body) as answer:
                    answer.raise_for_status()
            await asyncio.sleep(_MESSAGE_S)
        print(changes.total, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    role, where, changes_a_second, for_seconds = sys.argv[1:]
    uvloop.run({"gateway": _gateway, "nchan": _nchan}[role](where, float(changes_a_second), float(for_seconds)))
