"""The processes of the list benchmark: `python -m benchmarks.list_processes ROLE DIRECTORY COUNT`.

implementer  a scripted implementer of introspection.proto with COUNT operations, ticking like a live one
gateway      the real serve role, following it
unary        the named peer: for each request one unary ListOperations call and MessageToJson

The last two print the port that they answer on.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import grpc
import uvloop
from aiohttp import web
from google.protobuf.json_format import MessageToJson

from gateway.config.types import Address, Config
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.serve.role import bind, run
from tests.serve.builders import busy_operation, documented_scheduler
from tests.serve.implementer import Implementer

#: How often an idle model says that it is still there (introspection.proto: at least once a second).
_TICK_S = 0.5


def _config(directory: Path) -> Config:
    return Config(http=Address("127.0.0.1", 0), scheduler_name="MAIN_SCHEDULER", taps=(), cas=None, state_dir=directory)


def _say_port(listener: socket.socket) -> None:
    print(listener.getsockname()[1], flush=True)


async def _implementer(config: Config, count: int, stop: asyncio.Event) -> None:
    implementer = Implementer(f"unix:{config.introspection_socket}")
    implementer.set(operations=map(busy_operation, range(1, count + 1)), scheduler=documented_scheduler())
    async with implementer:
        while not stop.is_set():
            implementer.tick()
            await asyncio.sleep(_TICK_S)


async def _gateway(config: Config, _count: int, stop: asyncio.Event) -> None:
    listener = bind(config)
    _say_port(listener)
    await run(config, listener, stop)


async def _unary(config: Config, count: int, stop: asyncio.Event) -> None:
    async with grpc.aio.insecure_channel(f"unix:{config.introspection_socket}") as channel:
        stub = IntrospectionStub(channel)

        async def operations(_request: web.Request) -> web.Response:
            response = await stub.ListOperations(pb.ListOperationsRequest(page_size=count))
            return web.Response(text=MessageToJson(response), content_type="application/json")

        app = web.Application()
        app.router.add_get("/api/v1/operations", operations)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        listener = bind(config)
        await web.SockSite(runner, listener).start()
        _say_port(listener)
        await stop.wait()
        await runner.cleanup()


async def _main(role: str, directory: str, count: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    roles = {"implementer": _implementer, "gateway": _gateway, "unary": _unary}
    await roles[role](_config(Path(directory)), int(count), stop)


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
