"""Workers of a simulated NativeLink are drained through real taps, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import pytest

from gateway.config.trust import Role
from gateway.config.types import Address, Admin
from gateway.pb import introspection_pb2 as pb
from gateway.simulation import LINUX, Job, Run, Settings, Simulation, WorkerSpec
from gateway.simulation.admin import set_drain
from tests.command import PATIENCE_S
from tests.e2e.drained import observed, tapped, until
from tests.serve.authentication.showing import new_token, shown
from tests.serve.running import serving


def _draining(simulation: Simulation) -> dict[str, bool]:
    """As NativeLink itself has it, by prefix."""
    return {worker.id.partition("-")[0]: worker.is_draining for worker in simulation.scheduler.fleet}


async def test_a_prefix_is_drained_until_it_is_cancelled(tmp_path: Path) -> None:
    """A worker that runs something is safe once that has ended; one that reconnects is drained again."""
    async with Simulation(Settings(seed=1)) as simulation, tapped(simulation, tmp_path) as taps, observed(taps.config) as stub:
        busy = await simulation.add_worker(WorkerSpec("red-", reconnect_s=0.1), via=taps.taps["workers"])
        other = await simulation.add_worker(WorkerSpec("blue-", properties=(*LINUX, ("pool", "blue"))), via=taps.taps["workers"])
        client = await simulation.add_client(via=taps.taps["execution"])
        await client.submit(Job(("one",), run=Run(duration_s=0, gate="end")))
        async with asyncio.timeout(PATIENCE_S):
            while not (busy.running or other.running):  # noqa: ASYNC110 - what is waited for is another role's state
                await asyncio.sleep(0.02)
        runs, idle = (busy, other) if busy.running else (other, busy)
        prefix = runs.spec.prefix

        drain = await stub.Drain(pb.DrainRequest(id_prefix=prefix, requested_by="tests"))
        assert (drain.id_prefix, drain.state, drain.created_by) == (prefix, pb.Drain.ACTIVE, "tests")
        assert [(each.id, each.state) for each in drain.drained_workers] == [(runs.id, pb.DrainedWorker.DRAINING)]
        assert list(drain.drained_workers[0].running_operations) == list(runs.running)
        assert (drain.workers, drain.draining, drain.safe, drain.running_operations) == (1, 1, 0, 1)
        assert not drain.safe_to_delete
        assert _draining(simulation) == {prefix[:-1]: True, idle.spec.prefix[:-1]: False}

        simulation.playbook.open("end")
        safe = await until(stub, drain.id, lambda drain: drain.safe_to_delete)
        assert [(each.id, each.state) for each in safe.drained_workers] == [(runs.id, pb.DrainedWorker.SAFE)]

        first = runs.id
        await runs.stop()
        await runs.start()
        second = await runs.registered(other_than=first)
        again = await until(stub, drain.id, lambda drain: drain.gone == 1 and drain.safe_to_delete and drain.workers == 1)
        assert {each.id: each.state for each in again.drained_workers} == {
            second: pb.DrainedWorker.SAFE,
            first: pb.DrainedWorker.GONE,
        }
        assert _draining(simulation)[prefix[:-1]] is True

        cancelled = await stub.CancelDrain(pb.CancelDrainRequest(id=drain.id, undrain=True, requested_by="someone"))
        assert (cancelled.state, cancelled.ended_by) == (pb.Drain.CANCELLED, "someone")
        assert not cancelled.safe_to_delete
        assert not any(_draining(simulation).values())
        await until(stub, drain.id, lambda drain: drain.drained_workers[-1].state != pb.DrainedWorker.DRAINING)
        scheduler = await stub.GetScheduler(pb.GetSchedulerRequest())
        assert scheduler.anomalies == 0


async def test_drains_outlive_observe_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    async with Simulation(Settings(seed=2)) as simulation, tapped(simulation, tmp_path) as taps:
        workers = [await simulation.add_worker(WorkerSpec(f"w{number}-"), via=taps.taps["workers"]) for number in range(3)]
        async with observed(taps.config) as stub:
            drain = await stub.Drain(pb.DrainRequest(property=pb.Property(name="cpu_arch", value="x86_64"), idempotency_key="k"))
            assert len(drain.drained_workers) == 3
            await until(stub, drain.id, lambda drain: drain.safe_to_delete)
        await workers[0].stop()
        await workers[0].start()
        await workers[0].registered()
        async with observed(taps.config) as stub:
            after = await until(stub, drain.id, lambda drain: drain.safe_to_delete and drain.gone == 1)
            assert after.workers == 3
            calls: dict[str, int] = {}
            async for message in stub.Watch(pb.WatchRequest()):
                if message.HasField("snapshot") and message.snapshot.last:
                    calls = {each.word: each.count for each in message.snapshot.drains.admin_calls}
                    break
            assert calls == {"ok": 1, "absent": 0, "refused": 0, "unreachable": 0}
            same = await stub.Drain(pb.DrainRequest(property=pb.Property(name="cpu_arch", value="x86_64"), idempotency_key="k"))
            assert same.id == drain.id
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.Drain(pb.DrainRequest(id_prefix="w1-", idempotency_key="k"))
            assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert all(_draining(simulation).values())
        assert (tmp_path / "drains.json").stat().st_mode & 0o777 == 0o600


async def test_a_restarted_scheduler_is_asked_again(tmp_path: Path) -> None:
    async with Simulation(Settings(seed=3)) as simulation, tapped(simulation, tmp_path) as taps, observed(taps.config) as stub:
        worker = await simulation.add_worker(WorkerSpec("w-", reconnect_s=0.1), via=taps.taps["workers"])
        drain = await stub.Drain(pb.DrainRequest(id_prefix="w-"))
        one = await stub.Drain(pb.DrainRequest(worker_id=worker.id))
        before = worker.id
        await simulation.kill()
        await simulation.start()
        await worker.registered(other_than=before)

        def is_again(drain: pb.Drain) -> bool:
            # On a busy machine it may have come back more than once.
            return drain.safe_to_delete and drain.gone >= 1 and drain.drained_workers[0].id == worker.id

        await until(stub, drain.id, is_again)
        assert _draining(simulation) == {"w": True}
        ended = await stub.GetDrain(pb.GetDrainRequest(id=one.id))
        assert (ended.state, ended.safe_to_delete) == (pb.Drain.ENDED, True)


async def test_one_worker_is_drained_and_undrained(tmp_path: Path) -> None:
    async with Simulation(Settings(seed=4)) as simulation, tapped(simulation, tmp_path) as taps, observed(taps.config) as stub:
        worker = await simulation.add_worker(WorkerSpec("w/1-"), via=taps.taps["workers"])
        drain = await stub.Drain(pb.DrainRequest(worker_id=worker.id))
        assert _draining(simulation)["w/1"] is True
        # Somebody undrains it by hand, and it stays so; whoever drains it again is heard.
        await set_drain(taps.taps["workers"], "MAIN_SCHEDULER", worker.id, is_draining=False)
        await until(stub, drain.id, lambda drain: drain.drained_workers[0].state == pb.DrainedWorker.UNDRAINED)
        assert _draining(simulation)["w/1"] is False
        again = await stub.Drain(pb.DrainRequest(worker_id=worker.id))
        assert (again.id, again.draining) == (drain.id, 1)
        assert _draining(simulation)["w/1"] is True
        undrained = await stub.Undrain(pb.UndrainRequest(worker_id=worker.id))
        assert (undrained.drain_id, undrained.worker.state) == (drain.id, pb.DrainedWorker.UNDRAINED)
        assert _draining(simulation)["w/1"] is False

        prefix = await stub.Drain(pb.DrainRequest(id_prefix="w/"))
        with pytest.raises(grpc.aio.AioRpcError, match=prefix.id) as error:
            await stub.Undrain(pb.UndrainRequest(worker_id=worker.id))
        assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.aio.AioRpcError, match="Worker w-2 not found"):
            await stub.Drain(pb.DrainRequest(worker_id="w-2"))
        listed = await stub.ListDrains(pb.ListDrainsRequest())
        assert [(each.id, each.state) for each in listed.drains] == [
            (prefix.id, pb.Drain.ACTIVE),
            (drain.id, pb.Drain.CANCELLED),
        ]


async def test_without_an_admin_service_nothing_is_kept(tmp_path: Path) -> None:
    settings = Settings(seed=5, has_admin=False)
    async with Simulation(settings) as simulation, tapped(simulation, tmp_path) as taps, observed(taps.config) as stub:
        worker = await simulation.add_worker(WorkerSpec("w-"), via=taps.taps["workers"])
        for request in (pb.DrainRequest(id_prefix="w-"), pb.DrainRequest(worker_id=worker.id)):
            with pytest.raises(grpc.aio.AioRpcError, match=r"services: \{ admin: \{\} \}") as error:
                await stub.Drain(request)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert not (await stub.ListDrains(pb.ListDrainsRequest())).drains


async def test_without_an_admin_service_nobody_is_shown_as_draining_though_the_call_was_answered_with_200(tmp_path: Path) -> None:
    settings = Settings(seed=9, has_admin=False)
    async with Simulation(settings) as simulation, tapped(simulation, tmp_path) as taps, observed(taps.config) as stub:
        workers = taps.taps["workers"]
        worker = await simulation.add_worker(WorkerSpec("w-"), via=workers)
        assert await set_drain(workers, "MAIN_SCHEDULER", worker.id, is_draining=True) == 200
        # Whatever the tap has said of that call is behind what it says of one that connects now.
        after = await simulation.add_worker(WorkerSpec("after-"), via=workers)
        shown: dict[str, pb.Worker] = {}
        async with asyncio.timeout(PATIENCE_S):
            while after.id not in shown:
                shown = {each.id: each for each in (await stub.ListWorkers(pb.ListWorkersRequest())).workers}
        assert (shown[worker.id].is_draining, shown[worker.id].can_accept_work) == (False, True)


async def test_health_has_a_note_while_drains_cannot_be_written(tmp_path: Path) -> None:
    async def said(*, is_there: bool) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                health = (await stub.GetScheduler(pb.GetSchedulerRequest())).health
                if any(f"The drains in {tmp_path}" in note for note in health.notes) is is_there:
                    return
                await asyncio.sleep(0.05)

    async with Simulation(Settings(seed=10)) as simulation, tapped(simulation, tmp_path) as taps, observed(taps.config) as stub:
        await simulation.add_worker(WorkerSpec("w-"), via=taps.taps["workers"])
        in_the_way = tmp_path / "drains.json.new"
        in_the_way.mkdir()
        with pytest.raises(grpc.aio.AioRpcError, match="cannot be kept") as error:
            await stub.Drain(pb.DrainRequest(id_prefix="w-"))
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        await said(is_there=True)
        in_the_way.rmdir()
        await said(is_there=False)


async def test_builds_go_on_while_nativelink_does_not_answer_the_admin_call(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with Simulation(Settings(seed=8)) as simulation, await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        admin = Admin(Address("127.0.0.1", silent.sockets[0].getsockname()[1]))
        async with tapped(simulation, tmp_path, admin=admin) as taps, observed(taps.config) as stub:
            await simulation.add_worker(WorkerSpec("w-"), via=taps.taps["workers"])
            client = await simulation.add_client(via=taps.taps["execution"])
            drain = asyncio.ensure_future(stub.Drain(pb.DrainRequest(id_prefix="w-")))
            for number in range(5):
                await client.submit(Job((str(number),), run=Run(duration_s=0.01)))
            await client.followed()
            assert not drain.done()
            drain.cancel()
            await asyncio.wait([drain])


async def test_people_drain_over_http_once_for_each_key(tmp_path: Path) -> None:
    """Through serve, observe, tap and NativeLink, and back."""
    json_ = "Content-Type: application/json\r\nIdempotency-Key: k\r\n"
    async with Simulation(Settings(seed=6)) as simulation, tapped(simulation, tmp_path) as taps:
        worker = await simulation.add_worker(WorkerSpec("w-"), via=taps.taps["workers"])
        operator = shown(new_token(taps.config, Role.OPERATOR, "deployer"))
        async with observed(taps.config), serving(taps.config) as client:
            drained = [await client.post("/api/v1/drain", '{"id_prefix": "w-"}', f"{json_}{operator}") for _ in range(2)]
            assert [answer.status for answer in drained] == [200, 200]
            ids = [json.loads(answer.body)["id"] for answer in drained]
            assert ids[0] == ids[1]
            assert (await client.post("/api/v1/drain", '{"id_prefix": "v-"}', f"{json_}{operator}")).status == 422
            address = f"/api/v1/drains/{ids[0]}"
            safe = await client.until(address, lambda answer: json.loads(answer.body)["safe_to_delete"], headers=operator)
            assert [(each["id"], each["state"]) for each in json.loads(safe.body)["workers"]] == [(worker.id, "safe")]
            json_ = "Content-Type: application/json\r\n"
            refused = await client.post(f"/api/v1/workers/{worker.id}/undrain", "", f"{json_}{operator}")
            assert (refused.status, ids[0] in json.loads(refused.body)["error"]) == (409, True)
            cancelled = await client.post(f"{address}/cancel", '{"undrain": true}', f"{json_}{operator}")
            assert (cancelled.status, json.loads(cancelled.body)["ended_by"]) == (200, "token deployer")
            assert _draining(simulation) == {"w": False}


async def test_without_an_admin_service_people_get_501(tmp_path: Path) -> None:
    settings = Settings(seed=7, has_admin=False)
    async with Simulation(settings) as simulation, tapped(simulation, tmp_path) as taps:
        worker = await simulation.add_worker(WorkerSpec("w-"), via=taps.taps["workers"])
        operator = f"{shown(new_token(taps.config, Role.OPERATOR))}Content-Type: application/json\r\n"
        async with observed(taps.config), serving(taps.config) as client:
            answer = await client.post(f"/api/v1/workers/{worker.id}/drain", "", operator)
            assert (answer.status, "services: { admin: {} }" in json.loads(answer.body)["error"]) == (501, True)
            assert (await client.get("/api/v1/drains", headers=operator)).body == b"[]"
