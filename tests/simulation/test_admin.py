from __future__ import annotations

import asyncio

import pytest

from gateway.simulation.admin import answer, set_drain
from gateway.simulation.settings import Settings
from tests.simulation.bench import Bench


def _post(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_drain_and_undrain_are_answered_in_nativelinks_words() -> None:
    bench = Bench()
    worker = bench.worker()
    for flag in (1, 0):
        head, _, body = answer(
            bench.scheduler, _post(f"/admin/scheduler/MAIN_SCHEDULER/set_drain_worker/{worker.id}/{flag}")
        ).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body.decode() == f"Draining worker {worker.id}"
        assert worker.is_draining is bool(flag)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (_post("/admin/scheduler/MAIN_SCHEDULER/set_drain_worker/nobody/1"), b"500"),
        (_post("/admin/scheduler/OTHER/set_drain_worker/nobody/1"), b"500"),
        (_post("/admin/scheduler/MAIN_SCHEDULER/set_drain_worker/nobody/2"), b"404"),
        (_post("/elsewhere"), b"404"),
        (b"GET /status HTTP/1.1\r\n\r\n", b"404"),
        (b"\x16\x03\x01 is no HTTP\r\n\r\n", b"404"),
    ],
)
def test_other_requests_change_nothing(request_head: bytes, status: bytes) -> None:
    bench = Bench()
    worker = bench.worker()
    assert answer(bench.scheduler, request_head).split()[1] == status
    assert not worker.is_draining


def test_without_an_admin_service_grpc_answers_that_it_has_no_such_method() -> None:
    bench = Bench(Settings(seed=1, has_admin=False))
    worker = bench.worker()
    for path in (f"/admin/scheduler/MAIN_SCHEDULER/set_drain_worker/{worker.id}/1", "/elsewhere"):
        head, _, body = answer(bench.scheduler, _post(path)).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 200 OK"
        assert {b"content-type: application/grpc", b"grpc-status: 12", b"content-length: 0"} < set(lines)
        assert not body
    assert not worker.is_draining


async def test_a_call_that_is_not_answered_is_an_error() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionResetError):
            await set_drain(f"127.0.0.1:{port}", "MAIN_SCHEDULER", "x", is_draining=True)
