"""Peers of the tap benchmark that speak gRPC by the library, as real ones do: for latency, where how fast the ends are matters.

Messages are bytes that were encoded before; handlers do nothing but hand them over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import grpc.aio

from benchmarks import tap_messages as messages
from gateway.simulation.quick import frames as http2

_EXECUTE = ("build.bazel.remote.execution.v2.Execution", "Execute")
_PATIENCE_S = 90.0


async def serve() -> None:
    """An Execution service that answers at once; prints its port twice, as an upstream does."""
    server = grpc.aio.server()

    async def execute(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        number = messages.number_of(bytes(http2.PREFIX) + request, 0)
        for update in messages.updates(1, number):
            yield update[http2.FRAME + http2.PREFIX :]

    service, method = _EXECUTE
    handler: Any = grpc.unary_stream_rpc_method_handler(execute)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, port, flush=True)
    await asyncio.Event().wait()


class Calls:
    """A client with one connection."""

    def __init__(self, port: int) -> None:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        grpc.channel_ready_future(channel).result(_PATIENCE_S)
        self._execute: Callable[..., Iterator[bytes]] = channel.unary_stream("/" + "/".join(_EXECUTE))

    def sequence(self, first: int, count: int) -> list[int]:
        """So many one after another, numbered from there: nanoseconds of each."""
        took = []
        for number in range(first, first + count):
            request, metadata = messages.request(number), messages.metadata(number)
            began = time.perf_counter_ns()
            assert sum(1 for _ in self._execute(request, metadata=((messages.METADATA, metadata),), timeout=_PATIENCE_S)) == 3
            took.append(time.perf_counter_ns() - began)
        return took
