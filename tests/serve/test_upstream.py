import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest

from gateway.config.types import Address, Config, Introspection
from gateway.pb import introspection_pb2 as pb
from gateway.serve import upstream as upstream_module
from gateway.serve.queries import OperationsQuery
from gateway.serve.upstream import STALE_AFTER_S, Upstream
from tests.serve.builders import operation, worker
from tests.serve.implementer import Implementer
from tests.serve.running import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def following(config: Config, clock: Clock | None = None) -> AsyncIterator[Upstream]:
    upstream = Upstream(config, clock=clock or Clock())
    task = asyncio.create_task(upstream.follow(), name="follow under test")
    try:
        yield upstream
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until_number(upstream: Upstream, number: int, epoch: str = "epoch-1") -> None:
    async def reached() -> bool:
        replica = upstream.replica
        return replica is not None and (replica.epoch, replica.number) == (epoch, number)

    await eventually(reached)


async def until_up(upstream: Upstream) -> None:
    async def is_up() -> bool:
        return upstream.problem is None

    await eventually(is_up)


async def until_down(upstream: Upstream, why: str) -> None:
    async def is_down() -> bool:
        return upstream.problem is not None and why in upstream.problem

    await eventually(is_down)


def total(upstream: Upstream) -> int:
    assert upstream.replica is not None
    return upstream.replica.page_of_operations(OperationsQuery()).total


async def test_a_snapshot_in_many_chunks_is_one_state(config: Config) -> None:
    implementer = Implementer(f"unix:{config.introspection_socket}", chunk=7)
    implementer.set([worker(n) for n in range(30)], [operation(n) for n in range(100, 150)], pb.Scheduler(name="MAIN"))
    async with implementer, following(config) as upstream:
        await until_number(upstream, 2)
        assert total(upstream) == 50
        assert upstream.replica is not None
        assert upstream.replica.worker("worker-29") is not None
        assert upstream.replica.scheduler.name == "MAIN"


async def test_an_empty_state_is_a_state(config: Config, implementer: Implementer) -> None:
    async with implementer, following(config) as upstream:
        await until_number(upstream, 1)
        assert total(upstream) == 0


async def test_an_implementer_at_an_address_is_followed_too(config: Config) -> None:
    implementer = Implementer("127.0.0.1:0")
    async with implementer:
        address = Address("127.0.0.1", int(implementer.address.rpartition(":")[2]))
        async with following(replace(config, introspection=Introspection(endpoint=address))) as upstream:
            assert str(address) in upstream.name
            await until_number(upstream, 1)


async def test_who_is_not_there_yet_is_waited_for(config: Config, implementer: Implementer) -> None:
    async with following(config) as upstream:
        await until_down(upstream, "UNAVAILABLE")
        assert upstream.replica is None
        await implementer.start()
        await until_number(upstream, 1)
        assert upstream.problem is None


async def test_after_a_break_it_goes_on_from_its_revision(config: Config, implementer: Implementer) -> None:
    implementer.set(operations=[operation(1), operation(2)])
    async with implementer, following(config) as upstream:
        await until_number(upstream, 2)
        before = upstream.replica
        implementer.send(grpc.StatusCode.RESOURCE_EXHAUSTED)
        await until_down(upstream, "RESOURCE_EXHAUSTED: ended by the test")
        implementer.set(operations=[operation(3)], gone_operations=[1])
        await until_number(upstream, 3)
        assert upstream.replica is before
        assert total(upstream) == 2
        assert not implementer.requests[0].HasField("revision")
        assert implementer.requests[1].revision == pb.Revision(epoch="epoch-1", number=2)


async def test_a_stream_that_ends_by_itself_is_begun_again(config: Config, implementer: Implementer) -> None:
    async with implementer, following(config) as upstream:
        await until_number(upstream, 1)
        implementer.send(grpc.StatusCode.OK)
        await until_down(upstream, "it ended the stream")
        await until_up(upstream)
        assert len(implementer.requests) == 2


async def test_a_new_epoch_replaces_everything(config: Config, implementer: Implementer) -> None:
    implementer.set([worker(1)], [operation(2)])
    async with implementer, following(config) as upstream:
        await until_number(upstream, 2)
        implementer.begin_epoch("epoch-2")
        implementer.set(operations=[operation(9)], gone_workers=[1], gone_operations=[2])
        implementer.begin_epoch("epoch-2")
        implementer.send(grpc.StatusCode.UNAVAILABLE)
        await until_number(upstream, 1, "epoch-2")
        assert upstream.replica is not None
        assert upstream.replica.operation("op-2") is None
        assert upstream.replica.worker("worker-1") is None
        assert total(upstream) == 1


@pytest.mark.parametrize(
    "broken",
    [
        pb.ChangeBatch(revision=pb.Revision(epoch="epoch-1", number=1)),
        pb.ChangeBatch(revision=pb.Revision(epoch="epoch-1", number=2), operations=[operation(9)]),
        pb.ChangeBatch(revision=pb.Revision(epoch="epoch-0", number=3)),
    ],
    ids=["number goes back", "rows change without a number", "another epoch"],
)
async def test_what_does_not_continue_the_state_is_not_believed_and_a_snapshot_is_asked_for(
    config: Config, implementer: Implementer, broken: pb.ChangeBatch
) -> None:
    implementer.set(operations=[operation(1)])
    async with implementer, following(config) as upstream:
        await until_number(upstream, 2)
        implementer.send(pb.WatchResponse(changes=broken))
        await until_down(upstream, "it does not follow introspection.proto")
        assert total(upstream) == 1
        await until_up(upstream)
        assert not implementer.requests[1].HasField("revision")


async def test_a_snapshot_that_breaks_off_leaves_the_state_before(config: Config, implementer: Implementer) -> None:
    implementer.set(operations=[operation(1)])
    async with implementer, following(config) as upstream:
        await until_number(upstream, 2)
        before = upstream.replica
        for broken in (
            pb.SnapshotChunk(revision=implementer.revision, last=True),
            pb.SnapshotChunk(revision=implementer.revision, first=True, operations=[operation(7)]),
        ):
            implementer.send(pb.WatchResponse(snapshot=broken))
            implementer.tick()
            await until_down(upstream, "it does not follow introspection.proto: a snapshot")
            assert upstream.replica is before
            await until_up(upstream)
            assert upstream.replica is not before
            before = upstream.replica
        assert total(upstream) == 1
        assert gc.isenabled()


async def test_changes_without_any_snapshot_are_not_believed(config: Config, implementer: Implementer) -> None:
    implementer.begin_with = pb.WatchResponse(changes=pb.ChangeBatch(revision=implementer.revision))
    async with implementer, following(config) as upstream:
        await until_down(upstream, "changes came before a snapshot")
        assert upstream.replica is None


async def test_a_refusal_is_the_problem_until_it_is_over(
    config: Config, implementer: Implementer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_module, "STARTING_S", 0)
    caplog.set_level("INFO")
    implementer.refuse_with = grpc.StatusCode.UNIMPLEMENTED
    async with implementer, following(config) as upstream:

        async def tried_twice() -> bool:
            return len(implementer.requests) > 1

        await eventually(tried_twice)
        await until_down(upstream, "UNIMPLEMENTED: refused by the test")
        assert len([record for record in caplog.records if "UNIMPLEMENTED" in record.message]) == 1
        implementer.refuse_with = None
        await until_number(upstream, 1)
        await until_up(upstream)


async def test_an_upstream_that_is_still_starting_is_worth_no_warning(
    config: Config, implementer: Implementer, caplog: pytest.LogCaptureFixture
) -> None:
    implementer.refuse_with = grpc.StatusCode.UNAVAILABLE
    async with implementer, following(config) as upstream:
        await until_down(upstream, "UNAVAILABLE")
        implementer.refuse_with = None
        await until_up(upstream)
        assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_silent_stream_is_given_up(config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "SILENCE_LIMIT_S", 0.3)
    async with implementer, following(config) as upstream:
        await until_number(upstream, 1)
        await until_down(upstream, "no message for")
        await until_up(upstream)
        assert len(implementer.requests) >= 2


async def test_age_counts_from_the_last_message_that_completed_a_state(config: Config, implementer: Implementer) -> None:
    clock = Clock()
    async with implementer, following(config, clock) as upstream:
        await until_up(upstream)
        clock.now += STALE_AFTER_S
        assert upstream.silence_s() == STALE_AFTER_S
        assert (upstream.is_away, upstream.is_stale) == (False, False)
        clock.now += 1
        assert (upstream.is_away, upstream.is_stale) == (True, True)
        implementer.tick()

        async def is_fresh() -> bool:
            return not upstream.is_stale

        await eventually(is_fresh)
        assert upstream.silence_s() == 0


async def test_who_is_gone_is_away_at_once_and_stale_later(config: Config, implementer: Implementer) -> None:
    async with implementer, following(config, Clock()) as upstream:
        await until_up(upstream)
        await implementer.stop()
        await until_down(upstream, "UNAVAILABLE")
        assert (upstream.is_away, upstream.is_stale) == (True, False)


async def test_the_collector_runs_again_after_a_snapshot(config: Config, implementer: Implementer) -> None:
    async with implementer, following(config) as upstream:
        await until_up(upstream)
        assert gc.isenabled()
        gc.disable()
        try:
            implementer.begin_epoch("epoch-2")
            implementer.send(grpc.StatusCode.UNAVAILABLE)
            await until_number(upstream, 1, "epoch-2")
            assert not gc.isenabled()
        finally:
            gc.enable()
