"""The reader of Actions against a real CAS on a real socket, with faults."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from gateway.config.types import Address, Cas
from gateway.model.identity import Digest
from gateway.observe import cas
from gateway.observe.actions import ActionContent, ActionName
from gateway.observe.cas import ALONE_BYTES, BATCH_BYTES, ActionReader
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb.remote_execution_pb2_grpc import ContentAddressableStorageServicer, add_ContentAddressableStorageServicer_to_server
from tests.command import PATIENCE_S

Answer = Callable[[reapi.BatchReadBlobsRequest, grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]


@dataclass
class Store(ContentAddressableStorageServicer):
    """A CAS with one method, which remembers what it was asked."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    calls: list[reapi.BatchReadBlobsRequest] = field(default_factory=list)
    #: Happens before each answer: waits, aborts.
    before: Answer | None = None
    #: Hash -> google.rpc.Code of its answer.
    faults: dict[str, int] = field(default_factory=dict)
    #: Gives no answer for any digest.
    silent: bool = False
    running: int = 0
    most_running: int = 0

    def put(self, number: int, size: int = 0) -> ActionName:
        """An Action, and its name."""
        action = reapi.Action(command_digest=reapi.Digest(hash=f"{number:02x}", size_bytes=size or 1))
        action.platform.properties.add(name="pad", value="x" * size)
        data = action.SerializeToString()
        digest = Digest("sha256", hashlib.sha256(data).hexdigest(), len(data))
        self.blobs[digest.hash] = data
        return ActionName("main", digest)

    async def BatchReadBlobs(  # noqa: N802 - the generated servicer's name
        self, request: reapi.BatchReadBlobsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> reapi.BatchReadBlobsResponse:
        self.calls.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.before is not None:
                await self.before(request, context)
        finally:
            self.running -= 1
        answer = reapi.BatchReadBlobsResponse()
        for digest in () if self.silent else request.digests:
            response = answer.responses.add(digest=digest, data=self.blobs.get(digest.hash, b""))
            response.status.code = self.faults.get(digest.hash, 0 if digest.hash in self.blobs else 5)
        return answer

    async def FindMissingBlobs(self, request: Any, context: Any) -> reapi.FindMissingBlobsResponse:  # noqa: N802 - as above
        raise NotImplementedError

    async def BatchUpdateBlobs(self, request: Any, context: Any) -> reapi.BatchUpdateBlobsResponse:  # noqa: N802 - as above
        raise NotImplementedError


@dataclass
class Reading:
    """A reader at work."""

    store: Store
    reader: ActionReader
    found: dict[ActionName, ActionContent] = field(default_factory=dict)

    def want(self, *names: ActionName) -> None:
        for name in names:
            self.reader.want(*name)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what happens has no event
                await asyncio.sleep(0.002)

    async def settled(self) -> None:
        """Nothing is wanted any more."""
        await self.until(lambda: not self.reader._failures)


@asynccontextmanager
async def reading(store: Store, **settings: int) -> AsyncIterator[Reading]:
    server = grpc.aio.server()
    add_ContentAddressableStorageServicer_to_server(store, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    found: dict[ActionName, ActionContent] = {}
    reader = ActionReader(Cas(Address("127.0.0.1", port), **settings), found.__setitem__)
    task = asyncio.create_task(reader.run(), name="reader")
    try:
        yield Reading(store, reader, found)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop(None)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits a tenth as long."""
    monkeypatch.setattr(cas, "_FIRST_WAIT_S", 0.005)


async def test_actions_that_are_wanted_together_are_read_together() -> None:
    store = Store()
    names = [store.put(number) for number in range(50)]
    async with reading(store) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == set(names)
        assert at_work.found[names[7]].command_digest == Digest("sha256", "07", 1)
        (call,) = store.calls
        assert (call.instance_name, call.digest_function, len(call.digests)) == ("main", reapi.DigestFunction.SHA256, 50)


async def test_what_is_known_is_not_read_again() -> None:
    store = Store()
    name = store.put(1)
    async with reading(store) as at_work:
        at_work.want(name, name)
        await at_work.settled()
        assert at_work.reader.want(*name) == at_work.found[name]
        assert len(store.calls) == 1


async def test_a_batch_stays_below_what_nativelink_advertises() -> None:
    store = Store()
    names = [store.put(number, size=9_000) for number in range(40)]
    async with reading(store) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == set(names)
    for call in store.calls:
        answer = reapi.BatchReadBlobsResponse()
        for digest in call.digests:
            answer.responses.add(digest=digest, data=store.blobs[digest.hash]).status.message = "fine"
        assert answer.ByteSize() <= BATCH_BYTES
    assert len(store.calls) < len(names)


async def test_one_that_fits_into_no_batch_is_read_alone_and_a_huge_one_not_at_all() -> None:
    store = Store()
    small, large = store.put(1), store.put(2, size=BATCH_BYTES)
    huge = ActionName("main", Digest("sha256", "00" * 32, ALONE_BYTES + 1))
    async with reading(store) as at_work:
        at_work.want(small, large, huge)
        await at_work.settled()
        assert set(at_work.found) == {small, large}
        assert sorted(len(call.digests) for call in store.calls) == [1, 1]
        assert at_work.reader.skipped == 1


async def test_every_instance_and_function_is_asked_by_itself() -> None:
    store = Store()
    name = store.put(1)
    other = ActionName("other", name.digest)
    blake3 = ActionName("main", name.digest._replace(function="blake3"))
    async with reading(store) as at_work:
        at_work.want(name, other, blake3)
        await at_work.settled()
        assert set(at_work.found) == {name, other, blake3}
    asked = {(call.instance_name, call.digest_function) for call in store.calls}
    assert asked == {("main", 1), ("other", 1), ("main", 9)}


async def test_no_more_calls_run_at_once_than_are_allowed() -> None:
    async def slow(_request: reapi.BatchReadBlobsRequest, _context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await asyncio.sleep(0.02)

    store = Store(before=slow)
    names = [store.put(number, size=40_000) for number in range(12)]
    async with reading(store, in_flight=3) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == set(names)
    assert store.most_running == 3


async def test_a_missing_blob_is_not_asked_for_again_and_again() -> None:
    store = Store()
    missing = ActionName("main", Digest("sha256", "00" * 32, 100))
    async with reading(store) as at_work:
        at_work.want(missing)
        await at_work.settled()
        at_work.want(missing)
        await at_work.settled()
        assert at_work.found == {}
        assert len(store.calls) == 1


async def test_content_that_is_not_what_its_digest_says_is_not_believed() -> None:
    store = Store()
    name, other = store.put(1), store.put(2)
    store.blobs[name.digest.hash] = store.blobs[other.digest.hash]
    async with reading(store) as at_work:
        at_work.want(name, other)
        await at_work.settled()
        assert set(at_work.found) == {other}
        assert at_work.reader.unbelievable == 1


async def test_a_cas_that_comes_back_is_asked_again() -> None:
    answers = iter([grpc.StatusCode.UNAVAILABLE] * 3)

    async def away(_request: reapi.BatchReadBlobsRequest, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        code = next(answers, None)
        if code is not None:
            await context.abort(code, "away")

    store = Store(before=away)
    names = [store.put(1), store.put(2, size=BATCH_BYTES)]
    async with reading(store, in_flight=1) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == set(names)


async def test_a_blob_that_fails_by_itself_does_not_hold_up_the_others_and_is_given_up() -> None:
    store = Store()
    names = [store.put(number) for number in range(3)]
    store.faults[names[1].digest.hash] = 13
    async with reading(store) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == {names[0], names[2]}
    assert [len(call.digests) for call in store.calls] == [3, 1, 1, 1, 1]


async def test_a_batch_that_is_refused_is_read_one_by_one() -> None:
    async def refuse(request: reapi.BatchReadBlobsRequest, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        if len(request.digests) > 1:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too much")
        if request.digests[0].size_bytes > 1000:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this one not")

    store = Store(before=refuse)
    names = [store.put(1), store.put(2), store.put(3, size=2000)]
    async with reading(store) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == set(names[:2])


async def test_a_blob_that_is_not_answered_at_all_counts_as_missing() -> None:
    store = Store(silent=True)
    name = store.put(1)
    async with reading(store) as at_work:
        at_work.want(name)
        await at_work.settled()
        assert at_work.found == {}


async def test_over_the_bound_digests_are_counted_and_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cas, "PENDING_MAX", 2)
    store = Store()
    names = [store.put(number) for number in range(5)]
    async with reading(store) as at_work:
        at_work.want(*names)
        await at_work.settled()
        assert set(at_work.found) == set(names[:2])
        assert at_work.reader.skipped == 3


async def test_nobody_there_holds_up_nobody() -> None:
    found: dict[ActionName, ActionContent] = {}
    reader = ActionReader(Cas(Address("127.0.0.1", 1)), found.__setitem__)
    task = asyncio.create_task(reader.run(), name="reader")
    name = Store().put(1)
    assert reader.want(*name) is None
    async with asyncio.timeout(PATIENCE_S):
        while not reader._away:  # noqa: ASYNC110 - what happens has no event
            await asyncio.sleep(0.002)
    assert reader.want(*name) is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
