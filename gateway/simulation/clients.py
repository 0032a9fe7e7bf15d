"""A scripted build client over real gRPC, much like Bazel. In: jobs. Out: their Actions in the CAS, Execute streams, results.

All Execute and WaitExecution calls of a client share one connection, with RequestMetadata in the header; cache traffic has another
address, because it goes past the tap.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import remote_execution_pb2_grpc as remote_execution_grpc
from gateway.simulation.cas import MAX_BATCH_TOTAL_SIZE_BYTES, digest_of
from gateway.simulation.playbook import Playbook, Run

Stage = remote_execution.ExecutionStage

METADATA_KEY = "build.bazel.remote.execution.v2.requestmetadata-bin"

_OPTIONS = (
    # Otherwise gRPC puts the clients of one process on one connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.primary_user_agent", "simulated-bazel/1"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

#: Updates of one stream that are remembered.
_MAX_UPDATES = 256

#: Bytes that a blob costs in a batch beside its own.
_PER_BLOB = 128


@dataclass(frozen=True, slots=True)
class Job:
    """One action that a build wants: what goes into the CAS, how it is asked for, and what it will do."""

    arguments: tuple[str, ...]
    #: The action's own properties.
    platform: tuple[tuple[str, str], ...] = ()
    #: None: none.
    timeout_s: int | None = None
    run: Run = field(default_factory=Run)
    priority: int = 0
    #: False: skip_cache_lookup.
    is_cacheable: bool = False
    mnemonic: str = "Genrule"
    target: str = "//demo:target"
    configuration: str = "k8-fastbuild"

    def command(self) -> bytes:
        """The Command as it lies in the CAS."""
        return remote_execution.Command(arguments=self.arguments).SerializeToString(deterministic=True)

    def action(self) -> bytes:
        """The Action as it lies in the CAS."""
        action = remote_execution.Action(command_digest=digest_of(self.command()), input_root_digest=digest_of(b""))
        for name, value in sorted(self.platform):
            action.platform.properties.add(name=name, value=value)
        if self.timeout_s is not None:
            action.timeout.seconds = self.timeout_s
        return action.SerializeToString(deterministic=True)

    def request(self, action: remote_execution.Digest, instance_name: str = "") -> remote_execution.ExecuteRequest:
        """How its Action is asked for."""
        request = remote_execution.ExecuteRequest(
            instance_name=instance_name, action_digest=action, skip_cache_lookup=not self.is_cacheable
        )
        request.execution_policy.priority = self.priority
        request.execution_policy.SetInParent()
        return request


@dataclass(frozen=True, slots=True)
class Invocation:
    """What all requests of one build carry."""

    tool_name: str = "bazel"
    tool_version: str = "8.4.2"
    #: Random unless given.
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlated_id: str = "demo"

    def header(self, job: Job, action: remote_execution.Digest) -> tuple[tuple[str, bytes], ...]:
        """The call's metadata for one job."""
        return ((METADATA_KEY, self.metadata(job, action).SerializeToString()),)

    def metadata(self, job: Job, action: remote_execution.Digest) -> remote_execution.RequestMetadata:
        """What is said of one job."""
        return remote_execution.RequestMetadata(
            tool_details=remote_execution.ToolDetails(tool_name=self.tool_name, tool_version=self.tool_version),
            action_id=action.hash,
            tool_invocation_id=self.id,
            correlated_invocations_id=self.correlated_id,
            action_mnemonic=job.mnemonic,
            target_id=job.target,
            configuration_id=job.configuration,
        )


class Execution:
    """One Execute or WaitExecution stream, read by a task of its own until it ends."""

    def __init__(self, call: Any, title: str) -> None:
        #: `{instance_name}/{client_operation_id}`; "" before the first update.
        self.name = ""
        #: Stages in the order in which they came, the latest ones.
        self.stages: deque[remote_execution.ExecutionStage.Value.ValueType] = deque(maxlen=_MAX_UPDATES)
        #: None before the end, or without one.
        self.response: remote_execution.ExecuteResponse | None = None
        #: How the call failed, None if it did not.
        self.error: grpc.aio.AioRpcError | None = None
        self._call = call
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._read(), name=f"simulation: {title}")

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended, however."""
        return self._task.done()

    async def reached(self, stage: remote_execution.ExecutionStage.Value.ValueType, times: int = 1) -> None:
        """Wait until that stage has come so often.

        Raises:
            RuntimeError: the stream is over before that.
        """
        while self.stages.count(stage) < times:
            if self._task.done():
                raise RuntimeError(f"{self.name} ended with stages {list(self.stages)}, error {self.error}")
            self._changed.clear()
            await self._changed.wait()

    async def done(self) -> remote_execution.ExecuteResponse | None:
        """Wait until the stream is over; None if it had no response (cancelled, or see `error`)."""
        await asyncio.wait({self._task})
        return self.response

    def when_over(self, call: Callable[[], None]) -> None:
        """Call back once the stream is over."""
        self._task.add_done_callback(lambda _: call())

    def cancel(self) -> None:
        """Leave: RST_STREAM with CANCEL, as Bazel does when it is interrupted."""
        self._call.cancel()

    async def _read(self) -> None:
        try:
            async for update in self._call:
                metadata = remote_execution.ExecuteOperationMetadata()
                update.metadata.Unpack(metadata)
                self.name = update.name
                if update.HasField("response"):
                    self.response = remote_execution.ExecuteResponse()
                    update.response.Unpack(self.response)
                self.stages.append(metadata.stage)
                self._changed.set()
        except grpc.aio.AioRpcError as error:
            self.error = error
        finally:
            self._changed.set()


class SimulatedClient:
    """One build tool. `instance_name` is REAPI's."""

    def __init__(
        self,
        execution_address: str,
        cas_address: str,
        playbook: Playbook,
        *,
        instance_name: str = "",
        invocation: Invocation | None = None,
    ) -> None:
        self.instance_name = instance_name
        #: Of the requests from now on.
        self.invocation = invocation or Invocation()
        self._playbook = playbook
        self._execution_channel = grpc.aio.insecure_channel(execution_address, options=_OPTIONS)
        self._cas_channel = grpc.aio.insecure_channel(cas_address, options=_OPTIONS)
        self._execution = remote_execution_grpc.ExecutionStub(self._execution_channel)
        self._cas = remote_execution_grpc.ContentAddressableStorageStub(self._cas_channel)
        #: Streams that may still be open.
        self._open: set[Execution] = set()
        self._capabilities = remote_execution_grpc.CapabilitiesStub(self._execution_channel)

    async def capabilities(self) -> remote_execution.ServerCapabilities:
        """What Bazel asks first, on the connection of its Execute calls."""
        return await self._capabilities.GetCapabilities(remote_execution.GetCapabilitiesRequest(instance_name=self.instance_name))

    async def upload(self, jobs: Sequence[Job]) -> list[remote_execution.Digest]:
        """Put Actions and Commands into the CAS, in batches as large as NativeLink takes; the Actions' digests."""
        actions = [job.action() for job in jobs]
        for batch in _batches([*actions, *(job.command() for job in jobs)]):
            request = remote_execution.BatchUpdateBlobsRequest(instance_name=self.instance_name)
            for data in batch:
                request.requests.add(digest=digest_of(data), data=data)
            await self._cas.BatchUpdateBlobs(request)
        digests = [digest_of(action) for action in actions]
        for job, digest in zip(jobs, digests, strict=True):
            self._playbook.write(digest, job.run)
        return digests

    def execute(self, job: Job, action: remote_execution.Digest) -> Execution:
        """Execute an Action that `upload` named."""
        call = self._execution.Execute(job.request(action, self.instance_name), metadata=self.invocation.header(job, action))
        return self._follow(Execution(call, f"execute {job.target}"))

    def wait(self, name: str, job: Job, action: remote_execution.Digest) -> Execution:
        """WaitExecution: follow an operation by the name that a client knows it by."""
        call = self._execution.WaitExecution(
            remote_execution.WaitExecutionRequest(name=name), metadata=self.invocation.header(job, action)
        )
        return self._follow(Execution(call, f"wait for {job.target}"))

    async def submit(self, job: Job) -> Execution:
        """Upload and execute."""
        (action,) = await self.upload([job])
        return self.execute(job, action)

    async def followed(self) -> None:
        """Wait until all streams are over."""
        for execution in list(self._open):
            await execution.done()

    async def close(self) -> None:
        """End all streams and both connections."""
        await self._execution_channel.close()
        await self._cas_channel.close()
        await self.followed()

    def _follow(self, execution: Execution) -> Execution:
        self._open.add(execution)
        execution.when_over(lambda: self._open.discard(execution))
        return execution

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _batches(blobs: Iterable[bytes]) -> Iterable[list[bytes]]:
    """Blobs in order, together as long as a batch may hold them."""
    batch: list[bytes] = []
    size = 0
    for blob in blobs:
        if batch and size + len(blob) + _PER_BLOB > MAX_BATCH_TOTAL_SIZE_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(blob)
        size += len(blob) + _PER_BLOB
    if batch:
        yield batch
