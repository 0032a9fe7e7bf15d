"""Commands about drains, asked of a real `serve`; what `observe` says is scripted."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from gateway.client import draining
from gateway.config.trust import Role
from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from tests.client.asking import Asking
from tests.client.peer import peering, response
from tests.command import PATIENCE_S
from tests.serve.authentication.showing import new_token
from tests.serve.builders import documented_drain
from tests.serve.implementer import Implementer

ID = "0c6b2f9d41aa"


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Asking:
    """It looks again at once."""
    monkeypatch.setattr(draining, "_LOOK_S", 0.01)
    return Asking(capsys)


@pytest.fixture
def config(config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Commands have an operator's token."""
    monkeypatch.setenv("NATIVELINK_GATEWAY_TOKEN", new_token(config, Role.OPERATOR))
    return config


@pytest.fixture
async def implementer(implementer: Implementer) -> Implementer:
    implementer.drains[ID] = documented_drain()
    return implementer


def safe() -> pb.Drain:
    made = documented_drain()
    made.safe_to_delete, made.safe, made.running_operations = True, 2, 0
    return made


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("worker-123",), pb.DrainRequest(worker_id="worker-123")),
        (("--id-prefix", "w-"), pb.DrainRequest(id_prefix="w-")),
        (("--id-prefix", "w-", "--until-gone"), pb.DrainRequest(id_prefix="w-", until_gone=True)),
        (("--property", "pool=a=b"), pb.DrainRequest(property=pb.Property(name="pool", value="a=b"))),
    ],
)
async def test_workers_are_drained_and_it_is_told_what_they_run(
    url: str, implementer: Implementer, ask: Asking, arguments: tuple[str, ...], asked: pb.DrainRequest
) -> None:
    told = await ask("drain", *arguments, "--url", url)
    assert told.code == 0
    assert told.out.splitlines() == [
        "WORKER      STATE     RUNNING",
        "worker-123  draining        1",
        "worker-124  safe            0",
    ]
    assert told.err == f"drain {ID} of worker-* is active: 1 of 2 workers safe to delete, 1 operation running\n"
    (request,) = implementer.changes
    assert isinstance(request, pb.DrainRequest)
    assert len(request.idempotency_key) == 36
    asked.requested_by, asked.idempotency_key = request.requested_by, request.idempotency_key
    assert request == asked


async def test_one_command_drains_and_waits(url: str, implementer: Implementer, ask: Asking) -> None:
    waiting = asyncio.create_task(ask("drain", "--id-prefix", "worker-", "--wait", "600", "--json", "--url", url), name="drain")
    async with asyncio.timeout(PATIENCE_S):
        while not implementer.looks:  # noqa: ASYNC110 - what is waited for is another thread's
            await asyncio.sleep(0.01)
        implementer.drains[ID] = safe()
        told = await waiting
    assert told.code == 0
    assert json.loads(told.out)["safe_to_delete"] is True
    assert told.err == f"drain {ID} of worker-* is active: 1 of 2 workers safe to delete, 1 operation running\n"


async def test_a_wait_has_an_end_and_what_is_cancelled_is_not_waited_for(url: str, implementer: Implementer, ask: Asking) -> None:
    told = await ask("drains", ID, "--wait", "0.05", "--url", url)
    assert (told.code, f"drain {ID} is not safe to delete after 0.05 s" in told.err) == (1, True)
    told = await ask("drains", "--wait", "0", "--url", url)
    assert (told.code, "not all that is drained is safe" in told.err) == (1, True)
    implementer.drains[ID].state = pb.Drain.CANCELLED
    told = await ask("drain", "--id-prefix", "worker-", "--wait", "600", "--url", url)
    assert (told.code, "is cancelled" in told.err) == (1, True)


async def test_who_waits_outlasts_a_gateway_that_is_away(url: str, implementer: Implementer, ask: Asking) -> None:
    waiting = asyncio.create_task(ask("drains", ID, "--wait", "600", "--url", url), name="drains")
    async with asyncio.timeout(PATIENCE_S):
        while not implementer.looks:  # noqa: ASYNC110 - what is waited for is another thread's
            await asyncio.sleep(0.01)
        implementer.refuse_drains_with = (grpc.StatusCode.UNAVAILABLE, "observe has just started")
        while not implementer.refused:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        implementer.refuse_drains_with = None
        implementer.drains[ID] = safe()
        told = await waiting
    assert (told.code, "observe has just started" in told.err) == (0, True)


async def test_drains_are_a_table_and_one_has_its_workers(url: str, ask: Asking) -> None:
    told = await ask("drains", "--url", url)
    assert (told.code, told.err) == (0, "")
    head, row = (line.split() for line in told.out.splitlines())
    assert (head[:4], row[:4]) == (["DRAIN", "OF", "STATE", "SAFE"], [ID, "worker-*", "active", "no"])
    assert "worker-124  safe" in (await ask("drains", ID, "--url", url)).out
    assert json.loads((await ask("drains", "--json", "--url", url)).out)[0]["id"] == ID
    told = await ask("drains", "none", "--url", url)
    assert (told.code, "Drain none not found" in told.err) == (1, True)


async def test_workers_are_undrained(url: str, implementer: Implementer, ask: Asking) -> None:
    told = await ask("undrain", "worker-123", "--url", url)
    assert (told.code, told.out, told.err) == (0, "", "worker worker-123 gets work again\n")
    assert json.loads((await ask("undrain", "worker-123", "--json", "--url", url)).out)["drain_id"] == ID
    told = await ask("undrain", "worker-123", "--leave", "--url", url)
    assert (told.code, "--leave is about drains" in told.err) == (2, True)
    told = await ask("undrain", "--id-prefix", "worker-", "--url", url)
    assert (told.code, f"drain {ID} of worker-* is cancelled" in told.err) == (0, True)
    told = await ask("undrain", "--property", "pool=a", "--url", url)
    assert (told.code, "no active drain is of these workers" in told.err) == (1, True)
    await ask("undrain", "--drain", ID, "--leave", "--url", url)
    cancels = [request for request in implementer.changes if isinstance(request, pb.CancelDrainRequest)]
    assert [(request.id, request.undrain) for request in cancels] == [(ID, True), (ID, False)]


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.UNIMPLEMENTED, 1),
        (grpc.StatusCode.UNKNOWN, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.UNAVAILABLE, 3),
    ],
)
async def test_what_is_refused_is_told_in_the_gateways_words(
    url: str, implementer: Implementer, ask: Asking, code: grpc.StatusCode, exit_code: int
) -> None:
    implementer.refuse_drains_with = (code, "this is why\x1b")
    told = await ask("drain", "worker-123", "--url", url)
    assert (told.code, "this is why\\x1b" in told.err, told.out) == (exit_code, True, "")


async def test_without_an_operators_token_it_is_said_whose_it_has_to_be(
    url: str, config: Config, ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATIVELINK_GATEWAY_TOKEN", "nlg_wrong")
    told = await ask("drain", "worker-123", "--wait", "600", "--url", url)
    assert (told.code, "does not accept the token" in told.err) == (4, True)


async def test_a_change_that_is_sent_again_is_the_same_change(ask: Asking) -> None:
    """The gateway closes a connection that was kept, and the command cannot know whether it was heard."""
    keys: list[str] = []

    def script(head: str) -> list[bytes | None]:
        if head.startswith("GET"):
            return [response(200, b'[{"id":"d","state":"active","selector":{"id_prefix":"w"}}]')]
        keys.extend(line for line in head.splitlines() if line.startswith("Idempotency-Key"))
        return [None] if len(keys) == 1 else [response(200, b'{"id":"d","state":"cancelled"}')]

    async with peering(script) as peer:
        told = await ask("undrain", "--id-prefix", "w", "--url", peer.url)
    assert (told.code, len(keys), len(set(keys))) == (0, 2, 1)
