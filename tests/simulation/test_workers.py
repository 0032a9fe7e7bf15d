from __future__ import annotations

import asyncio

import pytest

from gateway.simulation import Job, Run, Settings, SimulatedWorker, Simulation, Stage, WorkerSpec
from gateway.simulation.playbook import Playbook
from tests.command import PATIENCE_S
from tests.simulation.bench import eventually

LONG = Job(("long",), run=Run(duration_s=60))


async def test_a_worker_that_dies_closes_its_connection_and_its_operation_is_queued_again() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker()
        client = await simulation.add_client()
        execution = await client.submit(LONG)
        await execution.reached(Stage.EXECUTING)
        await worker.stop()
        await execution.reached(Stage.QUEUED, 2)
        assert simulation.truth()["workers"] == []


async def test_a_worker_that_is_started_again_has_a_new_id() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker()
        before = worker.id
        await worker.stop()
        await worker.start()
        assert await worker.registered(other_than=before)


async def test_a_worker_whose_connection_fails_in_the_moment_of_its_stop_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def session(_self: SimulatedWorker, _stub: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # as asyncio.TaskGroup does where one of its tasks has failed
            raise ExceptionGroup("tasks", [asyncio.InvalidStateError()]) from None

    monkeypatch.setattr(SimulatedWorker, "_session", session)
    async with Simulation() as simulation:
        worker = SimulatedWorker(simulation.worker_address, WorkerSpec(reconnect_s=0), Playbook())
        await worker.start()
        await begun.wait()
        async with asyncio.timeout(PATIENCE_S):
            await worker.stop()
    assert worker.failures == 1


async def test_a_worker_that_hangs_is_evicted_and_comes_back_with_a_new_id_when_it_wakes_up() -> None:
    async with Simulation(Settings(worker_timeout_s=0.6)) as simulation:
        worker = await simulation.add_worker(WorkerSpec(keep_alive_s=0.05, reconnect_s=0.01))
        client = await simulation.add_client()
        execution = await client.submit(LONG)
        await execution.reached(Stage.EXECUTING)
        before = worker.id
        worker.hang()
        await execution.reached(Stage.QUEUED, 2)
        assert simulation.truth()["workers"] == []
        worker.wake()
        await execution.reached(Stage.EXECUTING, 2)
        await worker.registered(other_than=before)
        assert worker.failures == 0


async def test_heartbeats_keep_a_worker_for_longer_than_the_timeout() -> None:
    async with Simulation(Settings(worker_timeout_s=1)) as simulation:
        worker = await simulation.add_worker(WorkerSpec(keep_alive_s=0.05))
        await asyncio.sleep(1.3)
        assert [row["id"] for row in simulation.truth()["workers"]] == [worker.id]
        assert worker.registrations == 1


async def test_a_worker_that_goes_away_is_removed_at_once_reports_late_and_stays_away() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker(WorkerSpec(reconnect_s=0.01))
        client = await simulation.add_client()
        execution = await client.submit(Job(("short",), run=Run(duration_s=0.4)))
        await execution.reached(Stage.EXECUTING)
        leaving = asyncio.create_task(worker.go_away())
        await execution.reached(Stage.QUEUED, 2)
        assert worker.running
        await leaving
        assert not worker.running
        assert list(execution.stages) == [Stage.QUEUED, Stage.EXECUTING, Stage.QUEUED]
        assert worker.registrations == 1


async def test_a_refused_worker_tries_again_and_knows_why() -> None:
    async with Simulation() as simulation:
        spec = WorkerSpec(properties=(("cpu_count", "many"),), reconnect_s=0.01)
        async with SimulatedWorker(simulation.worker_address, spec, simulation.playbook) as worker:
            await eventually(lambda: worker.failures > 1)
        assert worker.last_error.endswith("Bad Property during connect_worker()")
        assert worker.registrations == 0


async def test_a_killed_command_is_reported_as_aborted() -> None:
    settings = Settings(client_action_timeout_s=0.1, sweep_s=0.05)
    async with Simulation(settings) as simulation:
        worker = await simulation.add_worker()
        client = await simulation.add_client()
        execution = await client.submit(LONG)
        await execution.reached(Stage.EXECUTING)
        execution.cancel()
        await execution.done()
        await eventually(lambda: simulation.truth()["workers"][0]["actions_completed"] == 1)
        assert not worker.running
        assert simulation.truth()["workers"][0]["running_operations"] == []
        assert simulation.truth()["operations"] == []


async def test_a_worker_fails_to_run_an_action_as_often_as_its_playbook_says() -> None:
    async with Simulation() as simulation:
        await simulation.add_worker()
        client = await simulation.add_client()
        execution = await client.submit(Job(("flaky",), run=Run(duration_s=0.01, internal_errors=2)))
        response = await execution.done()
        assert response is not None
        assert response.status.code == 0
        assert execution.stages.count(Stage.EXECUTING) == 3


async def test_several_operations_run_at_the_same_time_and_each_reports_its_own_worker_and_queue_time() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker(WorkerSpec(max_inflight_tasks=0))
        client = await simulation.add_client()
        executions = [await client.submit(Job((f"{number}",), run=Run(duration_s=0.3))) for number in range(4)]
        for execution in executions:
            await execution.reached(Stage.EXECUTING)
        await eventually(lambda: len(worker.running) == 4)
        queued = {row["insert_timestamp"] for row in simulation.truth()["operations"]}
        responses = [await execution.done() for execution in executions]
        reported = {response.result.execution_metadata.queued_timestamp.ToNanoseconds() / 1e9 for response in responses if response}
        assert reported == queued
