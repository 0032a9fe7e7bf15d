"""Several taps behind one observer: whose records, in which order, and what one of them does to the others."""

from __future__ import annotations

import asyncio

from gateway.model.scheduler import SchedulerModel
from gateway.observe.cacheability import Cacheability
from gateway.observe.introspection import shape
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.state import PublishedState
from gateway.observe.links import LinkState
from gateway.observe.observer import Observer, model_settings
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator
from gateway.pb import introspection_pb2 as pb
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import tap_pb2
from gateway.pb import worker_api_pb2 as api
from tests.command import PATIENCE_S
from tests.observe.records import (
    CONNECT,
    SECOND,
    WORKER_API,
    ScriptedTap,
    config,
    connected,
    execute_request,
    operation,
    registration,
    start_action,
)
from tests.observe.test_translate import gap_state, open_connection


class _Taps:
    """Two scripted taps; `play` brings what they have said."""

    def __init__(self) -> None:
        self.scripts = {name: ScriptedTap(f"run-{name}") for name in ("tap-0", "tap-1")}
        settings = config()
        self.model = SchedulerModel(model_settings(settings))
        cacheability = Cacheability()
        self.translators = {name: Translator(settings, cacheability) for name in self.scripts}
        statistics = Statistics(self.model)
        overview = Overview(settings, self.model, statistics, self._links, dict)
        feed = Feed(PublishedState(self.model, overview, History("epoch")))
        self.observer = Observer(self.model, statistics, self.translators, feed, list(self.scripts))

    def _links(self) -> dict[str, LinkState]:
        return {name: LinkState(0.1, is_fresh=True, problem=None, run=each.run) for name, each in self.translators.items()}

    def followed(self) -> dict[str, bool]:
        """Whether anybody follows an operation, by its client's id of it."""
        model = self.model
        shown = [shape.operation_full(model, each) for each in model.operations.values()]
        return {each.client_operation_id: any(client.followers for client in each.detail.clients) for each in shown}

    def play(self) -> None:
        for name, script in self.scripts.items():
            if script.records:
                self.observer.receive(name, list(script.records))
                script.records.clear()
        self.observer.settle()
        self.model.validate()


async def test_of_several_taps_records_wait_a_moment_and_of_one_none_do() -> None:
    taps = _Taps()
    script = taps.scripts["tap-0"]
    script.tick()
    taps.observer.receive("tap-0", script.records)
    assert taps.model.now == 0
    async with asyncio.timeout(PATIENCE_S):
        while taps.model.now < script.unix_ns:  # noqa: ASYNC110 - what happens has no event
            await asyncio.sleep(0.001)
    assert taps.observer.position("tap-0").next_sequence == 3
    assert not taps.observer.has_heard_all


async def test_telling_a_tap_how_far_it_is_processed_hurries_nothing() -> None:
    taps = _Taps()
    script = taps.scripts["tap-0"]
    taps.play()
    script.tick()
    taps.observer.receive("tap-0", script.records)
    assert taps.observer.processed("tap-0").next_sequence == 2
    assert taps.observer.position("tap-0").next_sequence == 3


async def test_taps_of_one_machine_that_are_heard_of_in_one_moment_have_one_clock() -> None:
    taps = _Taps()
    later = taps.scripts["tap-1"].records[0].run_started
    later.monotonic_ns += SECOND
    later.unix_ns += 3601 * SECOND
    offset = later.unix_ns - later.monotonic_ns
    taps.play()
    assert [translator.run.offset for translator in taps.translators.values() if translator.run is not None] == [offset] * 2


async def test_a_backlog_is_folded_in_as_it_comes() -> None:
    taps = _Taps()
    script = taps.scripts["tap-0"]
    for _ in range(5_000):
        script.tick()
    taps.observer.receive("tap-0", script.records)
    assert taps.model.now == script.unix_ns


async def test_a_worker_of_an_old_release_is_one_whichever_taps_its_calls_come_by() -> None:
    taps = _Taps()
    stream_tap, call_tap = taps.scripts["tap-0"], taps.scripts["tap-1"]
    client = call_tap.execute(execute_request())
    call_tap.down(*client, operation("main/c-1", 2))
    taps.play()

    connection = stream_tap.open("workers")
    stream_tap.call(connection, 1, CONNECT)
    stream_tap.up(connection, 1, registration(cpu_count="8"))
    stream_tap.down(connection, 1, connected("w-1"))
    stream_tap.down(connection, 1, start_action("o-1", execute_request(skip=True), cpu_count="1"))
    taps.play()
    call_tap.down(*client, operation("main/c-1", 3))
    (worker,) = taps.model.workers.values()
    taps.play()
    assert [known.operation_id for known in taps.model.operations.values()] == ["o-1"]

    call_tap.sleep(10)
    other = call_tap.open("workers")
    call_tap.call(other, 1, WORKER_API + "KeepAlive")
    call_tap.up(other, 1, api.KeepAliveRequest(worker_id="w-1"))
    call_tap.close_call(other, 1)
    call_tap.call(other, 3, WORKER_API + "ExecutionResponse")
    response = reapi.ExecuteResponse(result=reapi.ActionResult(exit_code=3))
    call_tap.up(other, 3, api.LegacyExecuteResult(worker_id="w-1", operation_id="o-1", execute_response=response))
    taps.play()
    assert taps.model.anomaly_counts.total() == 0
    assert worker.last_update_at is not None
    assert worker.last_update_at > stream_tap.unix_ns
    (done,) = [shape.operation_full(taps.model, each) for each in taps.model.operations.values()]
    assert (done.stage, done.worker_id, done.detail.exit_code) == (pb.STAGE_COMPLETED, "w-1", 3)
    assert not worker.running

    call_tap.add(
        connection=other,
        admin_call=tap_pb2.AdminCall(request="POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/1", status=200),
    )
    taps.play()
    assert worker.is_draining


async def test_what_one_tap_has_lost_ends_nothing_that_goes_by_another() -> None:
    taps = _Taps()
    here, there = taps.scripts["tap-0"], taps.scripts["tap-1"]
    lost = here.execute(execute_request("aa" * 32))
    here.down(*lost, operation("main/lost", 2, "aa" * 32))
    kept = there.execute(execute_request("bb" * 32))
    there.down(*kept, operation("main/kept", 2, "bb" * 32))
    there.worker("w-1", registration(cpu_count="8"))
    taps.play()
    here.sequence += 5
    gap_state(here, (9, 0, open_connection("execution")), missed=(here.sequence - 4, here.sequence))
    here.tick()
    taps.play()
    assert taps.followed() == {"lost": False, "kept": True}
    assert [worker.id for worker in taps.model.workers.values()] == ["w-1"]


async def test_a_tap_that_begins_anew_ends_nothing_that_goes_by_another() -> None:
    taps = _Taps()
    for name, digest in (("tap-0", "aa" * 32), ("tap-1", "bb" * 32)):
        connection = taps.scripts[name].execute(execute_request(digest))
        taps.scripts[name].down(*connection, operation(f"main/{name}", 2, digest))
    taps.play()
    taps.scripts["tap-0"] = ScriptedTap("another", started_at=taps.scripts["tap-0"].unix_ns)
    taps.scripts["tap-0"].tick()
    taps.play()
    assert taps.followed() == {"tap-0": False, "tap-1": True}


async def test_time_never_goes_back_however_the_clocks_of_taps_differ() -> None:
    taps = _Taps()
    taps.scripts["tap-1"].started_at -= 3600 * 10**9
    latest = 0
    for _ in range(5):
        for script in taps.scripts.values():
            script.tick()
        taps.play()
        assert taps.model.now >= latest
        latest = taps.model.now
