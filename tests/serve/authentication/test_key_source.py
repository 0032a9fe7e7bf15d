from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from gateway.serve.authentication import key_source
from gateway.serve.authentication.key_source import FetchedKeys, KeyFile
from gateway.serve.authentication.keys import BYTES_MAX
from tests.serve.authentication.issuing import Issuer, key_set
from tests.serve.running import eventually

ONE, TWO = Issuer(kid="one"), Issuer(kid="two")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_read_again_when_it_changes_and_not_more_often_than_once_a_second(tmp_path: Path) -> None:
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_bytes(key_set(ONE))
    source = KeyFile(file, monotonic=clock)
    before = source.keys
    assert [*before] == ["one"]
    file.write_bytes(key_set(ONE, TWO))
    clock.now += 0.5
    source.look()
    assert source.keys is before
    clock.now += 0.6
    source.look()
    assert [*source.keys] == ["one", "two"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.write_text("{}"), "it is no JSON Web Key Set"),
        (lambda file: file.unlink(), "No such file or directory"),
        (lambda file: file.chmod(0o666), "others may change it: chmod go-w"),
        (lambda file: file.write_text(" " * (BYTES_MAX + 1)), f"it is longer than {BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object], why: str
) -> None:
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_bytes(key_set(ONE))
    source = KeyFile(file, monotonic=clock)
    spoil(file)
    for _ in range(3):
        clock.now += 1
        source.look()
    assert [*source.keys] == ["one"]
    assert source.problem == f"gateway.credentials.jwt.jwks_file: {file}: {why}"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    file.unlink(missing_ok=True)
    file.write_bytes(key_set(TWO))
    clock.now += 1
    source.look()
    assert {source.problem: [*source.keys]} == {None: ["two"]}


Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def issuer(answer: Answer) -> AsyncIterator[str]:
    """A server that has keys; its address."""
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/jwks"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fetching(url: str) -> AsyncIterator[FetchedKeys]:
    source = FetchedKeys(url)
    task = asyncio.create_task(source.run(), name="fetch")
    try:
        yield source
    finally:
        task.cancel()


async def test_an_address_is_asked_at_once_and_for_a_key_that_nobody_knows_but_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "LEAST_S", 0.05)
    asked = 0

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(body=key_set(ONE) if asked == 1 else key_set(ONE, TWO))

    async with issuer(answer) as url, fetching(url) as source:

        async def has(count: int) -> bool:
            return len(source.keys) == count

        await eventually(lambda: has(1))
        for _ in range(100):
            source.missed()
        await eventually(lambda: has(2))
        await asyncio.sleep(0.2)
        assert asked == 2


async def test_a_key_that_the_issuer_takes_back_is_forgotten_although_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "LEAST_S", 0.01)
    monkeypatch.setattr(key_source, "REFRESH_S", 0.05)
    keys = key_set(ONE, TWO)

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=keys)

    async with issuer(answer) as url, fetching(url) as source:

        async def are(*expected: str) -> bool:
            return [*source.keys] == [*expected]

        await eventually(lambda: are("one", "two"))
        keys = key_set(TWO)
        await eventually(lambda: are("two"))


async def test_what_it_answers_else_changes_nothing_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_source, "LEAST_S", 0.01)
    monkeypatch.setattr(key_source, "REFRESH_S", 0.02)
    monkeypatch.setattr(key_source, "_ANSWER_S", 0.2)
    caplog.set_level(logging.INFO)
    mode = "good"

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        match mode:
            case "redirect":
                return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
            case "long":
                return web.Response(body=b" " * (BYTES_MAX + 1))
            case "silent":
                await asyncio.sleep(60)
            case "broken":
                return web.Response(text="<html>")
            case "cut":
                assert request.transport is not None
                request.transport.abort()
        return web.Response(body=key_set(ONE))

    async with issuer(answer) as url, fetching(url) as source:

        async def told(why: str | None) -> bool:
            return source.problem is None if why is None else why in (source.problem or "")

        async def known() -> bool:
            return bool(source.keys)

        await eventually(known)
        whys = {
            "cut": "gateway.credentials.jwt.jwks_url: http",
            "redirect": "it answers 302",
            "long": "longer than",
            "silent": "it does not answer",
            "broken": "no JSON Web Key Set",
        }
        for each, why in whys.items():
            mode = each
            await eventually(partial(told, why))
            assert [*source.keys] == ["one"]
        mode = "good"
        await eventually(partial(told, None))
    messages = [record.message for record in caplog.records if record.name == key_source.__name__]
    assert 6 <= len(messages) <= 7, messages
    assert messages[-1].endswith("answers again")


async def test_nobody_there_is_a_problem_and_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fetching("http://127.0.0.1:1/jwks") as source:

        async def told() -> bool:
            return source.problem is not None

        await eventually(told)
        assert source.keys == {}
