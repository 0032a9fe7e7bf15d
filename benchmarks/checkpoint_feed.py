"""The tap of the checkpoint benchmark: `python -m benchmarks.checkpoint_feed SOCKET OPERATIONS RATE`.

To the first reader it says OPERATIONS actions as fast as they are taken, then RATE a second for ever, each record with the time at
which it is sent. An action is asked for by a client, queued, assigned, executed, reported and done: eight records.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

from gateway.observe.wire import delimited
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import tap_pb2, worker_api_pb2
from tests.observe.records import CONNECT, EXECUTE, connected, execute_request, operation, registration, start_action

_UP, _DOWN = tap_pb2.Message.TO_SERVER, tap_pb2.Message.TO_CLIENT
_WORKERS = 20
#: Connection of the client; workers have those below it.
_CLIENT = 100
#: Records before the first action.
_BEGINNING = 2 + 4 * _WORKERS
#: How often a real tap hands on what it decoded (gateway.tap.decode_interval_ms).
_STEP_S = 0.01
_METADATA = reapi.RequestMetadata(
    tool_details=reapi.ToolDetails(tool_name="bazel", tool_version="8.0.0"),
    tool_invocation_id="5fd0c5f2-7b0c-4c62-a8a1-1d2f0f0f0f0f",
    correlated_invocations_id="5fd0c5f2-7b0c-4c62-a8a1-1d2f0f0f0f0f",
    action_mnemonic="CppCompile",
    target_id="//some/package:target",
    configuration_id="c" * 64,
)


def beginning(now: int) -> Iterator[tap_pb2.TapRecord]:
    """A run with its workers and one client."""
    listener = tap_pb2.Listener(name="t", listen="127.0.0.1:1", upstream="127.0.0.1:2", carries=["execution", "worker_api"])
    sequence = 1
    started = tap_pb2.RunStarted(run="run-1", unix_ns=time.time_ns(), monotonic_ns=now, listeners=[listener])
    yield tap_pb2.TapRecord(sequence=sequence, monotonic_ns=now, run_started=started)
    for connection in (*range(1, _WORKERS + 1), _CLIENT):
        sequence += 1
        opened = tap_pb2.ConnectionOpened(listener="t", peer=f"10.0.0.{connection}:4000")
        yield tap_pb2.TapRecord(sequence=sequence, monotonic_ns=now, connection=connection, connection_opened=opened)
        if connection == _CLIENT:
            continue
        registered = worker_api_pb2.UpdateForScheduler(connect_worker_request=registration(cpu_count="64", OSFamily="linux"))
        for kind in (
            {"stream_opened": tap_pb2.StreamOpened(method=CONNECT, user_agent="tonic/0.13")},
            {"message": tap_pb2.Message(direction=_UP, payload=registered.SerializeToString())},
            {"message": tap_pb2.Message(direction=_DOWN, payload=connected(f"worker-{connection}").SerializeToString())},
        ):
            sequence += 1
            yield tap_pb2.TapRecord(sequence=sequence, monotonic_ns=now, connection=connection, stream=1, **kind)


def action(number: int, now: int) -> Iterator[tap_pb2.TapRecord]:
    """The life of one action."""
    hash_ = f"{number:064x}"
    request = execute_request(hash_)
    worker = number % _WORKERS + 1
    name = f"main/{number:08x}-7b0c-4c62-a8a1-1d2f0f0f0f0f"
    operation_id = f"{number:08x}-0000-4c62-a8a1-1d2f0f0f0f0f"
    queued = 1_700_000_000_000_000_000 + number
    response = reapi.ExecuteResponse(result=reapi.ActionResult(exit_code=0))
    response.result.execution_metadata.worker = f"worker-{worker}"
    response.result.execution_metadata.queued_timestamp.FromNanoseconds(queued)
    reported = worker_api_pb2.UpdateForScheduler(
        execute_result=worker_api_pb2.ExecuteResult(operation_id=operation_id, execute_response=response)
    )
    opened = tap_pb2.StreamOpened(method=EXECUTE, user_agent="bazel/8.0.0", request_metadata=_METADATA.SerializeToString())
    start = start_action(operation_id, request, queued_ns=queued, cpu_count="1", OSFamily="linux")
    parts: tuple[tuple[bool, dict[str, object]], ...] = (
        (True, {"stream_opened": opened}),
        (True, {"message": tap_pb2.Message(direction=_UP, payload=request.SerializeToString())}),
        (True, {"message": tap_pb2.Message(direction=_DOWN, payload=operation(name, 2, hash_).SerializeToString())}),
        (False, {"message": tap_pb2.Message(direction=_DOWN, payload=start.SerializeToString())}),
        (True, {"message": tap_pb2.Message(direction=_DOWN, payload=operation(name, 3, hash_).SerializeToString())}),
        (False, {"message": tap_pb2.Message(direction=_UP, payload=reported.SerializeToString())}),
        (
            True,
            {"message": tap_pb2.Message(direction=_DOWN, payload=operation(name, 4, hash_, response=response).SerializeToString())},
        ),
        (True, {"stream_closed": tap_pb2.StreamClosed(grpc_status=0)}),
    )
    for index, (is_client, kind) in enumerate(parts):
        yield tap_pb2.TapRecord(
            sequence=_BEGINNING + 8 * number + index + 1,
            monotonic_ns=now,
            connection=_CLIENT if is_client else worker,
            stream=2 * number + 1 if is_client else 1,
            **kind,  # type: ignore[arg-type]  # the oneof's member by its name
        )


async def _feed(writer: asyncio.StreamWriter, operations: int, rate: int) -> None:
    writer.write(b"".join(delimited(record.SerializeToString()) for record in beginning(time.monotonic_ns())))
    number = 0
    while number < operations and not writer.is_closing():
        writer.write(b"".join(delimited(each.SerializeToString()) for each in action(number, time.monotonic_ns())))
        number += 1
        await writer.drain()
    due = time.monotonic()
    while not writer.is_closing():
        due += _STEP_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        said = []
        for _ in range(round(rate * _STEP_S)):
            said += [delimited(each.SerializeToString()) for each in action(number, time.monotonic_ns())]
            number += 1
        writer.write(b"".join(said))


async def _serve(path: str, operations: int, rate: int) -> None:
    async def reader(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stream.read(1)
        await _feed(writer, operations, rate)

    async with await asyncio.start_unix_server(reader, path) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
