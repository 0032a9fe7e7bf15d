from __future__ import annotations

import pytest

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.simulation import Invocation, Job, Simulation, Stage
from gateway.simulation.cas import MAX_BATCH_TOTAL_SIZE_BYTES


def test_a_job_lies_in_the_cas_as_action_and_command() -> None:
    job = Job(("cc", "-c"), (("pool", "a"), ("cpu_count", "2")), timeout_s=60)
    action = remote_execution.Action.FromString(job.action())
    command = remote_execution.Command.FromString(job.command())
    assert list(command.arguments) == ["cc", "-c"]
    assert [item.name for item in action.platform.properties] == ["cpu_count", "pool"]
    assert action.timeout.seconds == 60
    assert not remote_execution.Action.FromString(Job(("cc",)).action()).HasField("timeout")


def test_the_header_names_tool_invocation_mnemonic_target_and_configuration() -> None:
    ((key, value),) = Invocation(id="inv-1").header(
        Job(("cc",), mnemonic="CppCompile", target="//a:b"), remote_execution.Digest(hash="ab")
    )
    metadata = remote_execution.RequestMetadata.FromString(value)
    assert key == "build.bazel.remote.execution.v2.requestmetadata-bin"
    assert (metadata.tool_details.tool_name, metadata.tool_invocation_id) == ("bazel", "inv-1")
    assert (metadata.action_mnemonic, metadata.target_id, metadata.action_id) == ("CppCompile", "//a:b", "ab")
    assert metadata.configuration_id == "k8-fastbuild"


async def test_a_client_that_cancels_leaves_the_operation_and_can_follow_it_again() -> None:
    async with Simulation() as simulation:
        client = await simulation.add_client()
        job = Job(("true",))
        (action,) = await client.upload([job])
        execution = client.execute(job, action)
        await execution.reached(Stage.QUEUED)
        execution.cancel()
        assert await execution.done() is None
        assert execution.is_over
        again = client.wait(execution.name, job, action)
        await again.reached(Stage.QUEUED)
        assert again.name == execution.name
        assert len(simulation.truth()["operations"]) == 1


async def test_waiting_for_a_stage_that_does_not_come_ends_with_the_stream() -> None:
    async with Simulation() as simulation:
        await simulation.add_worker()
        client = await simulation.add_client()
        execution = await client.submit(Job(("true",)))
        with pytest.raises(RuntimeError, match="ended with stages"):
            await execution.reached(Stage.QUEUED, 2)


async def test_uploads_larger_than_a_batch_are_split() -> None:
    async with Simulation() as simulation:
        client = await simulation.add_client()
        jobs = [Job((f"{number}" + "x" * 30_000,)) for number in range(5)]
        digests = await client.upload(jobs)
        assert sum(len(job.command()) for job in jobs) > 2 * MAX_BATCH_TOTAL_SIZE_BYTES
        assert [simulation.cas.get(digest) for digest in digests] == [job.action() for job in jobs]


async def test_all_streams_end_when_the_client_closes() -> None:
    async with Simulation() as simulation:
        client = await simulation.add_client()
        executions = [await client.submit(Job((f"{number}",))) for number in range(3)]
        await client.close()
        assert all(execution.is_over for execution in executions)
