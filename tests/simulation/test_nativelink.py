from __future__ import annotations

import asyncio

import grpc
import pytest

from gateway.simulation import Job, Run, Simulation, Stage, WorkerSpec
from gateway.simulation.admin import set_drain


async def test_a_job_runs_on_a_worker() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker(WorkerSpec(prefix="alpha-"))
        client = await simulation.add_client(instance_name="main/x")
        execution = await client.submit(Job(("true",), run=Run(exit_code=3)))
        response = await execution.done()
        assert response is not None
        assert response.result.exit_code == 3
        assert response.result.execution_metadata.worker == worker.id
        assert worker.id.startswith("alpha-")
        assert execution.name.startswith("main/x/")
        assert list(execution.stages) == [Stage.QUEUED, Stage.EXECUTING, Stage.COMPLETED]


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_start_that_is_given_up_ends_as_what_gave_it_up(turns: int) -> None:
    simulation = Simulation()
    starting = asyncio.create_task(simulation.__aenter__(), name="start")
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        return
    await simulation.__aexit__(None, None, None)


async def test_an_orderly_stop_disconnects_workers_with_status_ok_and_frees_the_ports() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker()
        await simulation.stop()
        assert worker.failures == 0
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection(*_split(simulation.worker_address))
        with pytest.raises(RuntimeError, match="not running"):
            simulation.truth()


async def test_after_a_kill_workers_come_back_to_the_same_port_with_new_ids_and_operations_are_gone() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker(WorkerSpec(reconnect_s=0.01))
        client = await simulation.add_client()
        execution = await client.submit(Job(("long",), run=Run(duration_s=60)))
        await execution.reached(Stage.EXECUTING)
        before = worker.id
        await simulation.kill()
        assert await execution.done() is None
        assert execution.error is not None
        assert execution.error.code() is grpc.StatusCode.UNAVAILABLE
        await simulation.start()
        assert await worker.registered(other_than=before)
        assert simulation.truth()["operations"] == []


async def test_a_second_start_is_refused() -> None:
    async with Simulation() as simulation:
        with pytest.raises(RuntimeError, match="running already"):
            await simulation.start()


async def test_a_port_in_use_is_an_error_and_leaves_nothing_running() -> None:
    async with Simulation() as simulation:
        other = Simulation(worker_listen=_split(simulation.worker_address))
        with pytest.raises(OSError, match="in use"):
            async with other:
                pass
        await simulation.add_worker()


async def test_the_drain_call_shares_the_worker_port_with_grpc() -> None:
    async with Simulation() as simulation:
        worker = await simulation.add_worker()
        assert await set_drain(simulation.worker_address, "MAIN_SCHEDULER", worker.id, is_draining=True) == 200
        assert [row["is_draining"] for row in simulation.truth()["workers"]] == [True]
        assert await set_drain(simulation.worker_address, "MAIN_SCHEDULER", worker.id, is_draining=False) == 200
        assert [row["is_draining"] for row in simulation.truth()["workers"]] == [False]


async def test_clients_and_workers_each_have_their_own_connection() -> None:
    async with Simulation() as simulation:
        first, second = await simulation.add_worker(), await simulation.add_worker()
        await first.stop()
        await asyncio.sleep(0.05)
        assert [row["id"] for row in simulation.truth()["workers"]] == [second.id]


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
