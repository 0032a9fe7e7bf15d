"""The processes of the reading benchmark: `python -m benchmarks.reading_processes ROLE DIRECTORY [ARGUMENT …]`.

implementer OPERATIONS WORKERS  a scripted implementer of introspection.proto, ticking like a live one
serve                           the real serve role, following what answers in DIRECTORY; prints the port that it answers on
unary                           a peer: for each request one unary ListOperations call and MessageToJson; prints its port
observe FILE                    the real observe role on a recording
poll PORT                       asks for one operation after the other until it is there

All but `unary` do what lines of JSON on stdin say, and answer each with one on stdout. Stalls are what the process computed between
two turns of its loop, by its CPU time: on a busy machine others take away wall time that no server can give back.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import uvloop
from aiohttp import web
from google.protobuf.json_format import MessageToJson

from benchmarks import credential
from benchmarks.reading_state import operation, scheduler, worker
from gateway.config.types import Address, Authentication, Carries, Config, PropertyType, Retention, Scheduler, Tap
from gateway.observe import replaying
from gateway.observe.recording.files import recordings
from gateway.observe.recording.replay import Replay
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.serve.role import bind, run
from tests.serve.implementer import Implementer

_HOST = "127.0.0.1"
#: How often an idle model says that it is still there (introspection.proto: at least once a second).
_TICK_S = 0.5
#: How often observe publishes (gateway.observe.introspection.feed).
_BATCH_S = 0.02
_BEAT_S = 0.001
_PATIENCE_S = 90.0
#: Far more than there are.
_KEPT = 1_000_000
#: What is said at once: names of some thousand operations.
_LINE_BYTES = 16 * 1024 * 1024
_PROPERTIES = {"cpu_count": PropertyType.MINIMUM, "memory_kb": PropertyType.MINIMUM, "OSFamily": PropertyType.PRIORITY}
_TAPS = (
    Tap("execution", Address(_HOST, 50151), Address(_HOST, 50051), frozenset({Carries.EXECUTION})),
    Tap("workers", Address(_HOST, 50161), Address(_HOST, 50061), frozenset({Carries.WORKER_API, Carries.ADMIN})),
)


def _config(directory: Path) -> Config:
    return Config(
        http=Address(_HOST, 0),
        scheduler_name="MAIN_SCHEDULER",
        taps=_TAPS,
        cas=None,
        state_dir=directory,
        authentication=Authentication.REQUIRED,
        scheduler=Scheduler(supported_platform_properties=_PROPERTIES),
        retention=Retention(completed_s=_KEPT, completed_max=_KEPT),
    )


class _Told:
    """Does what stdin says, until stdin ends; every process here can watch its loop."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._longest_ns = 0
        self._watching: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Until there is nobody who could say anything."""
        loop, said = asyncio.get_running_loop(), asyncio.StreamReader(limit=_LINE_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), sys.stdin)
        while line := await said.readline():
            name, arguments = json.loads(line)
            print(json.dumps(await getattr(self, name)(*arguments)), flush=True)
        self._stop.set()

    async def watch(self) -> int:
        """From now on."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="watch")
        return 0

    async def longest_ms(self) -> float:
        """The longest stall since the last question."""
        longest, self._longest_ns = self._longest_ns, 0
        return longest / 1e6

    async def _watch(self) -> None:
        before = time.thread_time_ns()
        while True:
            await asyncio.sleep(_BEAT_S)
            now = time.thread_time_ns()
            self._longest_ns = max(self._longest_ns, now - before)
            before = now


class _Implementing(_Told):
    def __init__(self, stop: asyncio.Event, implementer: Implementer, operations: int) -> None:
        super().__init__(stop)
        self._implementer = implementer
        self._operations = operations
        self._changing: asyncio.Task[None] | None = None

    async def change(self, rate: int) -> int:
        """So many changes of operations a second from now on, in batches as observe makes them."""
        if self._changing is not None:
            self._changing.cancel()
        self._changing = asyncio.create_task(self._change(rate), name="change") if rate else None
        return 0

    async def restart(self) -> int:
        """Ends every stream and begins a new epoch: who followed needs a snapshot."""
        await self._implementer.stop()
        self._implementer.begin_epoch(f"epoch-{time.monotonic_ns()}")
        await self._implementer.start()
        return 0

    async def _change(self, rate: int) -> None:
        loop = asyncio.get_running_loop()
        began, made = loop.time(), 0
        while True:
            await asyncio.sleep(_BATCH_S)
            due = int((loop.time() - began) * rate)
            # Every one of them in turn, each time something else.
            numbers = range(made, due)
            changed = [operation(number % self._operations + 1, number // self._operations + 1) for number in numbers]
            self._implementer.set(operations=changed)
            made = due


async def _implementer(config: Config, stop: asyncio.Event, operations: str, workers: str) -> None:
    implementer = Implementer(f"unix:{config.introspection_socket}")
    implementer.set(map(worker, range(1, int(workers) + 1)), map(operation, range(1, int(operations) + 1)), scheduler())
    async with implementer, _listening(_Implementing(stop, implementer, int(operations))):
        while not stop.is_set():
            implementer.tick()
            await asyncio.sleep(_TICK_S)


async def _serve(config: Config, stop: asyncio.Event) -> None:
    credential.accept(config.tokens_file)
    listener = bind(config)
    print(listener.getsockname()[1], flush=True)
    async with _listening(_Told(stop)):
        await run(config, listener, stop)


class _Replaying(_Told):
    def __init__(self, stop: asyncio.Event, replay: Replay) -> None:
        super().__init__(stop)
        self._replay = replay

    async def over(self) -> int:
        """Waits for the end of the recording."""
        while not self._replay.is_over:  # noqa: ASYNC110 - what is waited for is the role's state
            await asyncio.sleep(0.05)
        return 0


async def _observe(config: Config, stop: asyncio.Event, file: str) -> None:
    replay = Replay(recordings(Path(file), "FILE"), 0.0)
    async with _listening(_Replaying(stop, replay)):
        await replaying.run(config, replay, stop)


class _Polling(_Told):
    def __init__(self, stop: asyncio.Event, port: int) -> None:
        super().__init__(stop)
        self._connection = http.client.HTTPConnection(_HOST, port, timeout=_PATIENCE_S)

    async def seen(self, ids: list[str], pause_s: float) -> list[int]:
        """When each came to be there, nanoseconds of the monotonic clock; 0: it was there when it was first asked for."""
        return await asyncio.to_thread(self._seen, ids, pause_s)

    def _seen(self, ids: list[str], pause_s: float) -> list[int]:
        deadline = time.monotonic() + _PATIENCE_S
        found: list[int] = []
        for id_ in ids:
            was_missed = False
            while True:
                self._connection.request("GET", f"/api/v1/operations/{id_}", headers=credential.HEADERS)
                response = self._connection.getresponse()
                response.read()
                if response.status == http.HTTPStatus.OK:
                    break
                was_missed = True
                if time.monotonic() > deadline:
                    return found
                time.sleep(pause_s)
            found.append(time.monotonic_ns() if was_missed else 0)
            deadline = time.monotonic() + _PATIENCE_S
        return found


async def _poll(_config: Config, stop: asyncio.Event, port: str) -> None:
    async with _listening(_Polling(stop, int(port))):
        await stop.wait()


async def _unary(config: Config, stop: asyncio.Event) -> None:
    async with grpc.aio.insecure_channel(f"unix:{config.introspection_socket}") as channel:
        stub = IntrospectionStub(channel)

        async def operations(_request: web.Request) -> web.Response:
            response = await stub.ListOperations(pb.ListOperationsRequest())
            return web.Response(text=MessageToJson(response), content_type="application/json")

        app = web.Application()
        app.router.add_get("/api/v1/operations", operations)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        listener = bind(config)
        await web.SockSite(runner, listener).start()
        print(listener.getsockname()[1], flush=True)
        await stop.wait()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _listening(told: _Told) -> Any:
    task = asyncio.create_task(told.listen(), name="listen")
    try:
        yield
    finally:
        task.cancel()


async def _main(role: str, directory: str, *arguments: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    roles: dict[str, Callable[..., Awaitable[None]]] = {
        "implementer": _implementer,
        "serve": _serve,
        "unary": _unary,
        "observe": _observe,
        "poll": _poll,
    }
    await roles[role](_config(Path(directory)), stop, *arguments)


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
