"""Drains, done: observed workers of a scripted tap, NativeLink's admin service over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.types import Carries
from gateway.observe.draining import coordinator as module
from gateway.observe.draining import file
from gateway.observe.draining.coordinator import Coordinator, Surroundings
from gateway.observe.draining.endpoint import Endpoint
from gateway.observe.draining.records import Drain, DrainState, Kind, Selector, TargetState
from gateway.observe.introspection.drains import DrainAnswers
from gateway.observe.introspection.errors import (
    BusyError,
    ConflictError,
    FullError,
    InvalidError,
    KeyReusedError,
    NativeLinkError,
    NotFoundError,
    NotOfferedError,
    UnreachableError,
)
from gateway.pb import introspection_pb2 as pb
from tests.command import PATIENCE_S
from tests.observe.draining.service import Service, answer, serving
from tests.observe.introspection.observed import Observed
from tests.observe.records import config

PREFIX = Selector(Kind.PREFIX, "w-")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_S", "IDLE_S", "PROGRESS_S", "OBSERVED_S", "_SEEN_S"):
        monkeypatch.setattr(module, name, 0.01)
    monkeypatch.setattr(module, "_UNTIL_OBSERVED_S", 0.05)


class Bench:
    """A coordinator and what is around it."""

    def __init__(self, service: Service, state_dir: Path) -> None:
        self.observed = Observed(config(state_dir))
        self.service = service
        self.problem: str | None = None
        self.published = 0
        self.told: Callable[[], None] = lambda: None
        self.is_tapped = False
        self.coordinator = Coordinator(
            self.observed.config,
            self.observed.model,
            Surroundings(lambda: self.problem, self._endpoint, self.observed.observer.drained, self._publish),
        )
        self.answers = DrainAnswers(self.coordinator)

    def _endpoint(self) -> Endpoint:
        return Endpoint(self.service.endpoint.address, self.is_tapped)

    def _publish(self) -> None:
        self.published += 1
        self.told()

    def settle(self) -> None:
        """Two seconds go by."""
        self.observed.tap.tick(2)
        self.observed.play()

    async def until(self, drain: Drain, holds: Callable[[Drain], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds(drain):  # noqa: ASYNC110 - what is waited for is another task's state
                await asyncio.sleep(0.01)


@asynccontextmanager
async def bench(state_dir: Path, *worker_ids: str) -> AsyncIterator[Bench]:
    async with serving() as service:
        made = Bench(service, state_dir)
        for worker_id in worker_ids:
            made.observed.worker(worker_id)
        made.observed.play()
        running = asyncio.create_task(made.coordinator.run(), name="run")
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            made.coordinator.finish()


async def test_workers_are_drained_so_many_at_a_time_and_are_safe_once_that_has_settled(tmp_path: Path) -> None:
    async with bench(tmp_path, *(f"w-{number}" for number in range(20)), "other") as made:
        made.service.open.clear()
        asked = asyncio.create_task(made.coordinator.drain(PREFIX, "me", ""), name="drain")
        async with asyncio.timeout(PATIENCE_S):
            while len(made.service.asked) < 8:  # noqa: ASYNC110 - what is waited for is a thread's
                await asyncio.sleep(0.01)
        made.service.open.set()
        drain = await asked
        assert made.service.most == 8
        assert len(made.service.asked) == 20
        assert drain.counts().draining == 20
        assert not made.coordinator.is_safe(drain)
        assert made.published
        made.settle()
        await made.until(drain, made.coordinator.is_safe)
        assert not made.observed.model.workers["other"].is_draining


async def test_who_connects_later_is_drained_until_that_is_cancelled(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        drain = await made.coordinator.drain(PREFIX, "me", "")
        assert made.coordinator.is_safe(drain)
        made.observed.worker("w-1")
        made.observed.play()
        await made.until(drain, lambda drain: drain.counts().draining == 1)
        await made.coordinator.cancel(drain.id, "me", "", undrain=False)
        made.observed.worker("w-2")
        made.observed.play()
        made.settle()
        await asyncio.sleep(0.1)
        assert [line.split("/")[5] for line in made.service.asked] == ["w-1"]
        assert not made.coordinator.is_safe(drain)
        with pytest.raises(ConflictError, match="cancelled already"):
            await made.coordinator.cancel(drain.id, "me", "", undrain=False)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (answer("404 Not Found"), NotOfferedError),
        (answer("500 Internal Server Error", "Worker not found"), NativeLinkError),
        (b"", UnreachableError),
    ],
)
async def test_what_nativelink_refuses_altogether_is_not_kept(said: bytes, error: type[Exception], tmp_path: Path) -> None:
    async with bench(tmp_path, "w-1", "w-2") as made:
        made.service.answer = said
        with pytest.raises(error):
            await made.coordinator.drain(PREFIX, "me", "k")
        with pytest.raises(error):
            await made.coordinator.undrain("w-1", "me", "u")
        assert list(made.coordinator.register) == []
        assert list(file.read(tmp_path)[0]) == []
        # What failed is not remembered, so that it may be tried again.
        made.service.answer = answer("200 OK")
        assert (await made.coordinator.drain(PREFIX, "me", "k")).counts().workers == 2


async def test_what_fails_later_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.observe.draining.register.FIRST_WAIT_S", 0.01)
    async with bench(tmp_path) as made:
        drain = await made.coordinator.drain(PREFIX, "me", "")
        made.service.answer = answer("500 Internal Server Error", "not now")
        made.observed.worker("w-1")
        made.observed.play()
        await made.until(drain, lambda drain: drain.counts().failed == 1)
        assert "not now" in drain.targets["w-1"].error
        made.service.answer = answer("200 OK")
        await made.until(drain, lambda drain: drain.counts().draining == 1)
        assert drain.targets["w-1"].error == ""


async def test_nothing_is_done_or_safe_while_workers_are_not_observed(tmp_path: Path) -> None:
    async with bench(tmp_path, "w-1") as made:
        drain = await made.coordinator.drain(PREFIX, "me", "")
        made.settle()
        await made.until(drain, made.coordinator.is_safe)
        made.problem = "No tap is attached"
        await made.until(drain, lambda drain: not made.coordinator.is_safe(drain))
        assert made.coordinator.problem_of(drain) == "No tap is attached"
        shown = pb.Drain.FromString(await made.answers.get_drain(pb.GetDrainRequest(id=drain.id)))
        assert (shown.problem, shown.drained_workers[0].safe_to_delete) == ("No tap is attached", False)
        with pytest.raises(UnreachableError, match="No tap is attached"):
            await made.coordinator.drain(Selector(Kind.WORKER, "w-1"), "me", "")
        made.problem = None
        await made.until(drain, made.coordinator.is_safe)


async def test_what_no_tap_has_shown_after_a_while_is_taken_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNSEEN_S", 0.2)
    async with bench(tmp_path, "w-1") as made:
        made.is_tapped = True
        drain = await made.coordinator.drain(PREFIX, "me", "")
        assert drain.targets["w-1"].state is TargetState.REQUESTED
        await made.until(drain, lambda drain: drain.counts().draining == 1)


async def test_an_undrained_worker_ends_its_own_drain_and_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path, "w-1") as made:
        one = await made.coordinator.drain(Selector(Kind.WORKER, "w-1"), "me", "")
        target, drain_id = await made.coordinator.undrain("w-1", "you", "k")
        assert (target.state, drain_id) == (TargetState.UNDRAINED, one.id)
        assert (one.state, one.ended_by) == (DrainState.CANCELLED, "you")
        again, same = await made.coordinator.undrain("w-1", "you", "k")
        assert (again.state, same, len(made.service.asked)) == (TargetState.UNDRAINED, one.id, 2)
        with pytest.raises(NotFoundError, match="Worker w-2 not found"):
            await made.coordinator.undrain("w-2", "you", "")
        every = await made.coordinator.drain(PREFIX, "me", "")
        with pytest.raises(ConflictError, match=f"belongs to drain {every.id} of workers with id prefix 'w-'"):
            await made.coordinator.undrain("w-1", "you", "")


async def test_the_same_key_does_it_once(tmp_path: Path) -> None:
    async with bench(tmp_path, "w-1") as made:
        made.service.open.clear()
        first = asyncio.create_task(made.coordinator.drain(PREFIX, "me", "k"), name="first")
        async with asyncio.timeout(PATIENCE_S):
            while not made.service.asked:  # noqa: ASYNC110 - what is waited for is a thread's
                await asyncio.sleep(0.01)
        with pytest.raises(BusyError):
            await made.coordinator.drain(PREFIX, "me", "k")
        made.service.open.set()
        drain = await first
        assert await made.coordinator.drain(PREFIX, "me", "k") is drain
        assert len(made.service.asked) == 1
        with pytest.raises(KeyReusedError):
            await made.coordinator.cancel(drain.id, "me", "k", undrain=True)
        await made.coordinator.cancel(drain.id, "me", "c", undrain=True)
        assert await made.coordinator.cancel(drain.id, "me", "c", undrain=True) is drain
        assert await made.coordinator.drain(PREFIX, "me", "k") is drain


async def test_a_drain_that_cannot_be_kept_is_not_begun_and_one_that_is_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path, "w-1", "v-1") as made:
        drain = await made.coordinator.drain(PREFIX, "me", "")
        (tmp_path / f"{file.NAME}.new").mkdir()
        with pytest.raises(UnreachableError, match=r"cannot be kept in .*drains\.json"):
            await made.coordinator.drain(Selector(Kind.PREFIX, "v-"), "me", "")
        assert len(made.service.asked) == 1
        assert "may be forgotten" in made.coordinator.problem_of(drain)
        (tmp_path / f"{file.NAME}.new").rmdir()
        made.observed.worker("w-2")
        made.observed.play()
        await made.until(drain, lambda drain: made.coordinator.problem_of(drain) == "")


async def test_what_could_not_be_written_down_is_tried_again_though_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS_S", 1_000_000)
    monkeypatch.setattr(module, "REWRITE_S", 0.1)
    async with bench(tmp_path, "w-1") as made:
        (tmp_path / f"{file.NAME}.new").mkdir()
        with pytest.raises(UnreachableError, match=r"cannot be kept in .*: Is a directory"):
            await made.coordinator.drain(PREFIX, "me", "")
        (tmp_path / f"{file.NAME}.new").rmdir()
        async with asyncio.timeout(PATIENCE_S):
            while made.coordinator.unwritten is not None:  # noqa: ASYNC110 - what is waited for is another task's state
                await asyncio.sleep(0.01)
        assert (tmp_path / file.NAME).exists()


async def test_that_a_drain_could_not_be_written_down_is_published_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROGRESS_S", 1_000_000)
    async with bench(tmp_path, "w-1") as made:
        drain = await made.coordinator.drain(PREFIX, "me", "")
        published: list[str] = []
        made.told = lambda: published.append(made.coordinator.problem_of(drain))
        (tmp_path / f"{file.NAME}.new").mkdir()
        await made.coordinator.drain(PREFIX, "me", "")
        assert published[-1].startswith("It may be forgotten when observe restarts")
        (tmp_path / f"{file.NAME}.new").rmdir()
        await made.coordinator.drain(PREFIX, "me", "")
        assert published[-1] == ""


async def test_where_workers_are_not_seen_nothing_can_be_drained(tmp_path: Path) -> None:
    tap = config().taps[0]
    assert tap.carries == {Carries.EXECUTION}
    async with serving() as service:
        made = Bench(service, tmp_path)
        coordinator = Coordinator(
            config(tmp_path, taps=(tap,)),
            made.observed.model,
            Surroundings(lambda: None, lambda: service.endpoint, lambda *_: None, lambda: None),
        )
        with pytest.raises(NotOfferedError, match="No tap carries 'worker_api'"):
            await coordinator.drain(PREFIX, "", "")
        coordinator.finish()
        made.coordinator.finish()


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (pb.DrainRequest(), "selector: one of worker_id, id_prefix, property"),
        (pb.DrainRequest(id_prefix=""), "id_prefix: it is empty"),
        (pb.DrainRequest(worker_id=""), "worker_id: it is empty"),
        (pb.DrainRequest(property=pb.Property(value="x")), "property.name: it is empty"),
        (pb.DrainRequest(id_prefix="x" * 1_001), "id_prefix: 1001 characters"),
        (pb.DrainRequest(id_prefix="x", requested_by="x" * 201), "requested_by: 201 characters"),
        (pb.DrainRequest(id_prefix="x", idempotency_key="x" * 201), "idempotency_key: 201 characters"),
    ],
)
async def test_a_wrong_request_names_its_field(request_: pb.DrainRequest, text: str, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        with pytest.raises(InvalidError, match=text):
            await made.answers.drain(request_)


async def test_what_is_published_has_every_drain_and_how_calls_went(tmp_path: Path) -> None:
    async with bench(tmp_path, "w-1") as made:
        await made.coordinator.drain(PREFIX, "me", "")
        await made.coordinator.drain(Selector(Kind.PROPERTY, "8", "cpu_count"), "me", "")
        shown = pb.Drains.FromString(made.answers.published())
        assert [(each.WhichOneof("selector"), each.draining, len(each.drained_workers)) for each in shown.drains] == [
            ("property", 1, 0),
            ("id_prefix", 1, 0),
        ]
        assert {each.word: each.count for each in shown.admin_calls} == {"ok": 2, "absent": 0, "refused": 0, "unreachable": 0}


async def test_workers_that_are_gone_come_last(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        drain = await made.coordinator.drain(PREFIX, "me", "")
        connection, _ = made.observed.worker("w-1")
        made.observed.play()
        await made.until(drain, lambda drain: drain.counts().draining == 1)
        made.observed.tap.close(connection)
        made.observed.play()
        await made.until(drain, lambda drain: drain.gone == 1)
        made.observed.worker("w-2")
        made.observed.play()
        await made.until(drain, lambda drain: drain.counts().draining == 1)
        shown = pb.Drain.FromString(await made.answers.get_drain(pb.GetDrainRequest(id=drain.id)))
        assert [each.id for each in shown.drained_workers] == ["w-2", "w-1"]


async def test_as_many_drains_as_there_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.observe.draining.register.DRAINS_MAX", 1)
    async with bench(tmp_path, "w-1") as made:
        await made.coordinator.drain(PREFIX, "me", "")
        with pytest.raises(FullError, match="cancel those that are not needed"):
            await made.coordinator.drain(Selector(Kind.PREFIX, "v-"), "me", "")
