from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.client.connection import Answer, Gateway, encoded
from gateway.client.problems import MistakeError, NoAnswerError, NotAsAskedError, NotReadyError, QuestionError
from tests.certificates import Authority
from tests.client.peer import peering, response
from tests.command import free_ports

TOKEN = "s3cret-token"  # noqa: S105 # of these tests


async def ask(url: str, path: str = "/x", token: str | None = None, **more: Any) -> Answer:
    gateway = Gateway(url, token)
    try:
        return await asyncio.to_thread(gateway.ask, path, **more)
    finally:
        gateway.close()


async def test_questions_go_over_one_connection_with_the_token_and_what_was_asked_for() -> None:
    async with peering(lambda _: [response(200, b"[]", X_Total_Count="7", Age="3")]) as peer:
        gateway = Gateway(f"{peer.url}/prefix/", TOKEN)
        for _ in range(2):
            answer = await asyncio.to_thread(gateway.ask, f"/api/{encoded('a/b ä')}", [("a", "x y"), ("b", "&")])
        assert (peer.connections, answer.total, answer.age_s, answer.rows()) == (1, 7, 3, [])
        lines = peer.requests[1].split("\r\n")
        assert lines[0] == "GET /prefix/api/a%2Fb%20%C3%A4?a=x%20y&b=%26 HTTP/1.1"
        assert {f"Authorization: Bearer {TOKEN}", "Accept: application/json"} <= set(lines)
        gateway.close()


async def test_without_a_token_none_is_sent() -> None:
    async with peering(lambda _: [response(200, b"{}")]) as peer:
        assert (await ask(peer.url)).document().text("x") is None
        assert "Authorization" not in peer.requests[0]


async def test_a_kept_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    async with peering(lambda _: [response(200, b"{}"), None]) as peer:
        gateway = Gateway(peer.url, None)
        for _ in range(3):
            await asyncio.to_thread(gateway.ask, "/x")
        assert peer.connections == 3
        gateway.close()


async def test_the_time_of_the_answer_is_that_of_the_one_who_gave_it() -> None:
    async with peering(lambda _: [response(200, b"{}", Date="Sat, 01 Jan 2022 00:00:00 GMT")]) as peer:
        assert (await ask(peer.url)).now == 1_640_995_200
    assert Answer(200, {"date": "yesterday"}, b"", "").now > 1_700_000_000
    assert Answer(200, {"x-total-count": "-1", "age": "x"}, b"", "").total is None


def error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (response(400, error("stage is 'x'")), MistakeError, "stage is 'x'"),
        (response(404, error("Operation x not found")), NotAsAskedError, "Operation x not found"),
        (response(503, error("Nothing is known yet")), NotReadyError, "Nothing is known yet"),
        (response(401, b""), NoAnswerError, "URL does not accept the token of NATIVELINK_GATEWAY_TOKEN"),
        (response(403, error("local only")), NoAnswerError, "URL does not let us do that: local only"),
        (response(302, b"", Location="http://else/\x9b"), NoAnswerError, "URL says that it is elsewhere, at http://else/Â\\x9b"),
        (response(500, error("a defect")), NoAnswerError, "URL answered 500: a defect"),
        (response(404, b"<html>"), NoAnswerError, "what answers at URL is no gateway"),
        (response(503, b"[]"), NoAnswerError, "what answers at URL is no gateway"),
        (response(400, error("\x1b[2J[red]")), MistakeError, "\\x1b[2J[red]"),
        (b"SSH-2.0-OpenSSH\r\n", NoAnswerError, "its answer is no HTTP, or broke off"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", NoAnswerError, "its answer is no HTTP, or broke off"),
        (response(200, b"[1, 2")[:-2], NoAnswerError, "its answer is no HTTP, or broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab", NoAnswerError, "its answer is no HTTP, or broke off"),
        (b"", NoAnswerError, "its answer is no HTTP, or broke off|nobody answers at URL"),
    ],
)
async def test_what_is_no_answer_is_one_sentence(answer: bytes, kind: type[QuestionError], told: str) -> None:
    async with peering(lambda _: [answer, None]) as peer:
        with pytest.raises(kind) as refused:
            await ask(peer.url, token=TOKEN)
        text = str(refused.value)
        assert any(each in text for each in told.replace("URL", peer.url).split("|")), text
        assert TOKEN not in text
        assert text.isprintable()


async def test_without_a_token_it_is_said_where_one_goes() -> None:
    async with peering(lambda _: [response(401, error("who are you?"))]) as peer:
        with pytest.raises(
            NoAnswerError,
            match=r"wants a token: put one into NATIVELINK_GATEWAY_TOKEN, .*`token new` .*: who are you",
        ):
            await ask(peer.url)


async def test_statuses_that_are_an_answer_too_are_given_back() -> None:
    async with peering(lambda _: [response(503, b'{"status":"unhealthy"}')]) as peer:
        assert (await ask(peer.url, allowed=(503,))).document().text("status") == "unhealthy"


@pytest.mark.parametrize("body", [b"<html>", b"5", b'"x"'])
async def test_a_success_that_is_not_the_apis_is_not_taken_for_one(body: bytes) -> None:
    async with peering(lambda _: [response(200, body)]) as peer:
        answer = await ask(peer.url)
        for read in (answer.rows, answer.document):
            with pytest.raises(NoAnswerError, match="no gateway, or not its HTTP address"):
                read()


async def test_nobody_there() -> None:
    (port,) = free_ports(1)
    with pytest.raises(NoAnswerError, match=r"nobody answers at .*Connection refused.*start the gateway, or say where it is"):
        await ask(f"http://127.0.0.1:{port}")
    with pytest.raises(NoAnswerError, match=r"nobody answers at http://nowhere\.invalid"):
        await ask("http://nowhere.invalid")


async def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.connection._ANSWER_S", 0.05)
    async with peering(lambda _: []) as peer:
        with pytest.raises(NoAnswerError, match="does not answer in time"):
            await ask(peer.url)


async def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.connection._MOST_BYTES", 10)
    async with peering(lambda _: [response(200, b"x" * 11)]) as peer:
        with pytest.raises(NoAnswerError, match="longer than 10 bytes"):
            await ask(peer.url)


async def test_tls_is_spoken_with_whom_the_system_trusts_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    async with peering(lambda _: [response(200, b"{}")], context) as peer:
        with pytest.raises(NoAnswerError, match=r"is not trusted: .*--ca-file"):
            await ask(peer.url)
        gateway = Gateway(peer.url, None, str(authority.file))
        assert (await asyncio.to_thread(gateway.ask, "/x")).status == 200
        gateway.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert (await ask(peer.url)).status == 200


async def test_tls_where_none_is_spoken_is_said() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        with pytest.raises(NoAnswerError, match="does not speak TLS"):
            await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")


def test_a_file_of_authorities_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(MistakeError, match=r"--ca-file: .*nothing\.pem: No such file or directory"):
        Gateway("https://localhost", None, str(tmp_path / "nothing.pem"))
    (tmp_path / "text.pem").write_text("text")
    with pytest.raises(MistakeError, match=r"text\.pem: no certificate in PEM form is in it"):
        Gateway("https://localhost", None, str(tmp_path / "text.pem"))
