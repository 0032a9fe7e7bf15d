"""Calls of the admin service, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.config.types import Address, Admin
from gateway.observe.draining import admin as module
from gateway.observe.draining.admin import AdminService
from gateway.observe.draining.endpoint import Endpoint
from tests.certificates import Authority
from tests.observe.draining.service import answer, serving
from tests.observe.records import config


@contextmanager
def calling(setting: Admin | None = None) -> Iterator[AdminService]:
    service = AdminService(config(admin=setting or Admin()))
    try:
        yield service
    finally:
        service.close()


async def test_a_worker_is_drained_and_undrained_whatever_it_is_called() -> None:
    with calling(Admin(path="/our/admin")) as calls:
        async with serving() as service:
            assert await calls.set_drain(service.endpoint, "w-1", is_draining=True) == module.Result("ok")
            assert await calls.set_drain(service.endpoint, "w/ä ?2", is_draining=False) == module.Result("ok")
            assert service.asked == [
                "POST /our/admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/1 HTTP/1.1",
                "POST /our/admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w%2F%C3%A4%20%3F2/0 HTTP/1.1",
            ]
        assert calls.counts == {"ok": 2, "absent": 0, "refused": 0, "unreachable": 0}


@pytest.mark.parametrize(
    ("said", "word", "text"),
    [
        (answer("404 Not Found"), "absent", "NativeLink has no admin service at {}/admin (it answered 404)"),
        (answer("405 Method Not Allowed"), "absent", "(it answered 405)"),
        (answer("200 OK", "", "grpc-status: 12"), "absent", "(it answered 200)"),
        (
            answer("500 Internal Server Error", 'Error: Error { code: NotFound,\n messages: ["Worker not found"] }\x1b[2J'),
            "refused",
            'NativeLink at {}/admin answered 500: Error: Error { code: NotFound, messages: ["Worker not found"] }�[2J',
        ),
        (answer("200 OK", "", "grpc-status: 2"), "refused", "NativeLink at {}/admin answered 200"),
        (answer("200 OK", "", "grpc-status: 0"), "refused", "NativeLink at {}/admin answered 200"),
        (answer("500 Internal Server Error", "x" * 10_000), "refused", "x" * 500),
        (b"", "unreachable", "NativeLink's admin service at {}/admin cannot be reached: "),
        (b"SSH-2.0-OpenSSH\r\n", "unreachable", "cannot be reached: "),
    ],
)
async def test_what_it_says_instead_is_told_in_words(said: bytes, word: str, text: str) -> None:
    with calling() as calls:
        async with serving() as service:
            service.answer = said
            result = await calls.set_drain(service.endpoint, "w", is_draining=True)
            assert result.word == word
            assert text.replace("{}", str(service.endpoint)) in result.text
            assert len(result.text) < 700
            assert calls.counts[word] == 1


async def test_nobody_there_and_nobody_who_answers_are_both_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.3)
    with calling() as calls:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = Endpoint(Address("127.0.0.1", taken.getsockname()[1]), is_tapped=False)
            result = await calls.set_drain(nobody, "w", is_draining=True)
        assert (result.word, "Connection refused" in result.text) == ("unreachable", True)
        async with serving() as service:
            service.open.clear()
            result = await calls.set_drain(service.endpoint, "w", is_draining=True)
            assert (result.word, "it may have been done all the same" in result.text) == ("unreachable", True)


async def test_tls_is_spoken_where_it_says_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    nativelink, gateway = authority.issue("nativelink", "nativelink.test"), authority.issue("gateway")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.load_cert_chain(nativelink.cert_file, nativelink.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(context) as service:
        with calling(Admin(tls=gateway.dial(authority.file, "nativelink.test"))) as calls:
            assert (await calls.set_drain(service.endpoint, "w", is_draining=True)).word == "ok"
            # NativeLink has h2 alone, and refuses who offers other protocols; who offers none may speak HTTP/1.1.
            assert service.protocols == [None]
        with calling(Admin(tls=gateway.dial(authority.file))) as calls:
            refused = await calls.set_drain(service.endpoint, "w", is_draining=True)
            assert (refused.word, "certificate" in refused.text) == ("unreachable", True)


async def test_a_call_that_is_given_up_frees_its_thread() -> None:
    with calling() as calls:
        async with serving() as service:
            service.open.clear()
            many = [asyncio.create_task(calls.set_drain(service.endpoint, "w", is_draining=True), name="call") for _ in range(8)]
            async with asyncio.timeout(30):
                while len(service.asked) < 8:  # noqa: ASYNC110 - what is waited for is a thread's
                    await asyncio.sleep(0.01)
                for each in many:
                    each.cancel()
                await asyncio.gather(*many, return_exceptions=True)
                service.open.set()
                assert (await calls.set_drain(service.endpoint, "w", is_draining=True)).word == "ok"
