"""NativeLink's admin endpoint on the worker port, HTTP/1.1, and the call that people make to it.

In: a request head. Out: the whole answer, worded as NativeLink's.
"""

from __future__ import annotations

import asyncio
import re
from email.utils import formatdate
from urllib.parse import quote, unquote

from gateway.simulation.scheduler import Scheduler

_DRAIN = re.compile(rb"POST /admin/scheduler/([^/ ]+)/set_drain_worker/([^/ ]+)/([01]) HTTP/1\.[01]\r\n")


def answer(scheduler: Scheduler, head: bytes) -> bytes:
    """Drain or undrain the worker that the request names; 500 if there is none such, 404 for any other request.

    Without an admin service every request comes to the gRPC router, which says in its own way that it has no such method.
    """
    if not scheduler.settings.has_admin:
        return _response("200 OK", "", "content-type: application/grpc", "grpc-status: 12")
    match = _DRAIN.match(head)
    if match is None:
        return _response("404 Not Found", "")
    name, worker_id, flag = (unquote(part.decode(errors="replace")) for part in match.groups())
    if name != scheduler.settings.scheduler_name:
        return _response("500 Internal Server Error", f"Unable to find scheduler: {name}")
    if not scheduler.set_drain(worker_id, flag == "1"):
        return _response("500 Internal Server Error", f"Worker not found: {worker_id}")
    return _response("200 OK", f"Draining worker {worker_id}")


async def set_drain(address: str, scheduler_name: str, worker_id: str, *, is_draining: bool) -> int:
    """Make the call, on a connection of its own as people do (nativelink-facts 7); the HTTP status.

    Raises:
        OSError: nobody listens at `host:port`, or it closed without an answer.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        path = f"/admin/scheduler/{scheduler_name}/set_drain_worker/{quote(worker_id, safe='')}/{is_draining:d}"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer_ = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    words = answer_.split(maxsplit=2)
    if len(words) < 2:
        raise ConnectionResetError(f"{address} closed without an answer")
    return int(words[1])


def _response(status: str, text: str, *headers: str) -> bytes:
    body = text.encode()
    lines = headers or ("content-type: text/plain; charset=utf-8",)
    fixed = (f"content-length: {len(body)}", "connection: close", f"date: {formatdate(usegmt=True)}")
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, *fixed, "", "")).encode() + body
