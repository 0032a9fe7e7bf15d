from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.simulation.cas import digest_of
from gateway.simulation.clients import Job, SimulatedClient
from gateway.simulation.mix import fleet
from gateway.simulation.playbook import Playbook, Run
from gateway.simulation.quick.nativelink import quick_nativelink
from gateway.simulation.quick.peers import ClientPeer, run_workers
from gateway.simulation.scheduler import Scheduler
from gateway.simulation.settings import Settings
from gateway.simulation.workers import WorkerSpec
from tests.command import free_ports
from tests.simulation.bench import eventually

_HOST = "127.0.0.1"


class _Place:
    def __init__(self, scheduler: Scheduler, ports: list[int]) -> None:
        self.scheduler = scheduler
        self.execution, self.workers, self.cas = ports
        self.playbook = Playbook()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ClientPeer]:
        address = f"{_HOST}:{self.cas}"
        async with SimulatedClient(address, address, self.playbook) as uploader:
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(lambda: ClientPeer(uploader), _HOST, self.execution)
            yield client
            client.close()

    @asynccontextmanager
    async def fleet(self, specs: list[WorkerSpec]) -> AsyncIterator[None]:
        task = asyncio.create_task(run_workers(specs, _HOST, self.workers, self.playbook), name="workers")
        yield
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _place(**settings: float) -> AsyncIterator[_Place]:
    execution, workers, cas = ports = free_ports(3)
    made = Settings(seed=1, **settings)  # type: ignore[arg-type] # durations
    async with quick_nativelink(made, (_HOST, execution), (_HOST, workers), (_HOST, cas)) as scheduler:
        yield _Place(scheduler, ports)


async def test_an_action_goes_to_a_worker_and_its_result_to_the_client() -> None:
    async with _place() as place, place.fleet(fleet(3)), place.client() as client:
        jobs = [Job((f"{number}",), run=Run(duration_s=0.01, upload_s=0.01)) for number in range(3)]
        calls = [client.execute(job, digest) for job, digest in zip(jobs, await client.upload(jobs), strict=True)]
        await client.followed()
        assert all(call.response for call in calls)
        assert {operation.stage for operation in place.scheduler.operations()} == {4}
        await eventually(lambda: not any(operation.followers for operation in place.scheduler.operations()))


async def test_a_worker_that_cannot_run_it_makes_the_scheduler_try_again() -> None:
    async with _place() as place, place.fleet(fleet(1)), place.client() as client:
        job = Job(("again",), run=Run(duration_s=0.0, internal_errors=1))
        call = client.execute(job, (await client.upload([job]))[0])
        await client.followed()
        assert call.response
        (operation,) = place.scheduler.operations()
        assert operation.attempts == 1


async def test_an_action_that_is_not_in_the_cas_is_refused() -> None:
    async with _place() as place, place.client() as client:
        call = client.execute(Job(("nowhere",)), digest_of(b"nowhere"))
        await client.followed()
        assert call.response is None
        assert place.scheduler.operations() == []


async def test_a_client_that_goes_follows_no_longer() -> None:
    async with _place() as place:
        async with place.client() as client:
            job = Job(("left",))
            client.execute(job, (await client.upload([job]))[0])
            await eventually(lambda: any(operation.followers for operation in place.scheduler.operations()))
        await client.followed()
        await eventually(lambda: not any(operation.followers for operation in place.scheduler.operations()))
        assert client.execute(job, digest_of(b"")).response is None


async def test_workers_keep_alive_and_those_that_are_sent_away_come_back_with_another_id() -> None:
    async with _place(worker_timeout_s=1.0) as place, place.fleet(fleet(3, keep_alive_s=0.1)):
        await eventually(lambda: len(place.scheduler.fleet) == 3)
        before = {worker.id for worker in place.scheduler.fleet}
        await asyncio.sleep(1.5)
        assert {worker.id for worker in place.scheduler.fleet} == before
        lost = next(iter(place.scheduler.fleet))
        place.scheduler.remove_worker(lost, "for a test", disconnect=True)
        await eventually(lambda: len(place.scheduler.fleet) == 3)
        assert lost.id not in {worker.id for worker in place.scheduler.fleet}


async def test_a_worker_with_a_property_that_is_no_number_is_refused() -> None:
    async with _place() as place, place.fleet([WorkerSpec(properties=(("cpu_count", "many"),)), WorkerSpec()]):
        await eventually(lambda: len(place.scheduler.fleet) == 1)
        await asyncio.sleep(0.1)
        assert len(place.scheduler.fleet) == 1
