"""Actions are read from the CAS: digests that are wanted come in, contents go to a callback, whenever they come.

Nothing waits for it and nothing is lost but the answer to one question: a digest that cannot be read stays unknown. Bounds:
`PENDING_MAX` digests wait (more are not asked for, and counted), `in_flight` calls run, `cache_entries` answers are kept.

BatchReadBlobs, because NativeLink advertises 65,536 bytes a batch (nativelink-facts 3): a batch stays below that, the answer's
own overhead counted. An Action is some hundred bytes; one that does not fit into a batch is read alone up to `ALONE_BYTES`, a
larger one is not read.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from gateway.config.types import Cas
from gateway.model.identity import Digest
from gateway.observe.actions import ActionContent, ActionName, KnownActions, UnbelievableError, read_action
from gateway.observe.decoding import function_number
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb.remote_execution_pb2_grpc import ContentAddressableStorageStub

if TYPE_CHECKING:
    from gateway.pb.remote_execution_pb2_grpc import ContentAddressableStorageAsyncStub  # only the type stubs have it

BATCH_BYTES = 65_536
#: Of the answer, per blob: tags and lengths, the digest again, a status. More than any hash and message of NativeLink's need.
BLOB_OVERHEAD_BYTES = 256
ALONE_BYTES = 1024 * 1024
PENDING_MAX = 20_000

#: How long digests that come together are gathered.
_GATHER_S = 0.005
_CALL_TIMEOUT_S = 10.0
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 30.0
#: A blob that failed this often by itself counts as missing. The CAS being away counts as nobody's failure.
_ATTEMPTS_MAX = 5

#: No blob's fault: the CAS is away, busy, or does not talk to us. The same question is asked again later, and later.
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)

_OK = grpc.StatusCode.OK.value[0]
_NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]

logger = logging.getLogger(__name__)

Found = Callable[[ActionName, ActionContent], None]


class ActionReader:
    """Reads what is wanted. `run` does the work until it is cancelled."""

    def __init__(self, settings: Cas, found: Found, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._found = found
        self._clock = clock
        self._known = KnownActions(settings.cache_entries)
        #: In the order of wanting; those that have to be read alone apart.
        self._pending: deque[ActionName] = deque()
        self._alone: deque[ActionName] = deque()
        #: Pending or being read -> failures of its own.
        self._failures: dict[ActionName, int] = {}
        self._wanted = asyncio.Event()
        #: Failures of calls in a row; the wait grows with them.
        self._away = 0
        self._not_before = 0.0
        #: Digests not asked for because too many were waiting.
        self.skipped = 0
        #: Blobs that were not what their digest says.
        self.unbelievable = 0

    def want(self, instance_name: str, digest: Digest) -> ActionContent | None:
        """The content if it is known already; otherwise it is read, if it can be, and `found` is told."""
        name = ActionName(instance_name, digest)
        content = self._known.get(name)
        if content is not None or name in self._failures or self._known.is_missing(name, self._clock()):
            return content
        if len(self._failures) >= PENDING_MAX or not 0 < digest.size_bytes <= ALONE_BYTES:
            self.skipped += 1
            return None
        self._failures[name] = 0
        self._queue(name)
        return None

    async def run(self) -> None:
        """Read what is wanted, `in_flight` calls at once."""
        options = (("grpc.max_reconnect_backoff_ms", 2_000), ("grpc.enable_http_proxy", 0))
        target = str(self._settings.endpoint)
        async with grpc.aio.insecure_channel(target, options=options) as channel, asyncio.TaskGroup() as tasks:
            stub: ContentAddressableStorageAsyncStub = ContentAddressableStorageStub(channel)
            for number in range(self._settings.in_flight):
                tasks.create_task(self._read_for_ever(stub), name=f"cas reader {number}")

    async def _read_for_ever(self, stub: ContentAddressableStorageAsyncStub) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(max(_GATHER_S, self._not_before - self._clock()))
            batch = self._take()
            if batch:
                await self._read(stub, batch)

    def _queue(self, name: ActionName) -> None:
        """Alone goes what is too large for a batch, and what failed, so that it spoils none."""
        alone = name.digest.size_bytes + BLOB_OVERHEAD_BYTES > BATCH_BYTES or self._failures[name]
        (self._alone if alone else self._pending).append(name)
        self._wanted.set()

    def _take(self) -> list[ActionName]:
        """The next batch: of one instance and one function, as both are said once in a request."""
        batch: list[ActionName] = []
        if self._alone:
            batch.append(self._alone.popleft())
        elif self._pending:
            first = self._pending[0]
            size = 0
            while self._pending and self._alike(first, self._pending[0]):
                size += self._pending[0].digest.size_bytes + BLOB_OVERHEAD_BYTES
                if size > BATCH_BYTES:
                    break
                batch.append(self._pending.popleft())
        if not self._alone and not self._pending:
            self._wanted.clear()
        return batch

    @staticmethod
    def _alike(one: ActionName, other: ActionName) -> bool:
        return one.instance_name == other.instance_name and one.digest.function == other.digest.function

    async def _read(self, stub: ContentAddressableStorageAsyncStub, batch: list[ActionName]) -> None:
        first = batch[0]
        request = reapi.BatchReadBlobsRequest(
            instance_name=first.instance_name,
            digests=[reapi.Digest(hash=name.digest.hash, size_bytes=name.digest.size_bytes) for name in batch],
            digest_function=function_number(first.digest.function),
        )
        try:
            answer = await stub.BatchReadBlobs(request, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            self._failed(batch, error)
            return
        self._answered()
        waiting = {(name.digest.hash, name.digest.size_bytes): name for name in batch}
        for response in answer.responses:
            name = waiting.pop((response.digest.hash.lower(), response.digest.size_bytes), None)
            if name is not None:
                self._take_in(name, response)
        for name in waiting.values():
            self._settle(name, None)  # not answered at all: as good as not there

    def _take_in(self, name: ActionName, response: reapi.BatchReadBlobsResponse.Response) -> None:
        """One blob's answer."""
        if response.status.code not in {_OK, _NOT_FOUND}:
            self._retry(name)
            return
        content = None
        if response.status.code == _OK:
            try:
                content = read_action(name.digest, response.data)
            except UnbelievableError as error:
                self.unbelievable += 1
                logger.warning("the CAS at %s answered for %s with something else: %s", self._settings.endpoint, name.digest, error)
        self._settle(name, content)

    def _failed(self, batch: list[ActionName], error: grpc.aio.AioRpcError) -> None:
        """The whole call failed: because the CAS is away, or because of what was asked."""
        if error.code() in _AWAY:
            self._back_off(error)
            for name in batch:
                self._queue(name)
            return
        if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT} and len(batch) == 1:
            self._settle(batch[0], None)
            return
        logger.debug("BatchReadBlobs of %d failed: %s", len(batch), error.details())
        for name in batch:
            self._retry(name)

    def _back_off(self, error: grpc.aio.AioRpcError) -> None:
        """Wait longer with every failure; calls that were under way together count as one."""
        now = self._clock()
        if now < self._not_before:
            return
        if not self._away:
            logger.warning("the CAS at %s is away (%s): %s", self._settings.endpoint, error.code().name, error.details())
        wait_s = min(_FIRST_WAIT_S * 2 ** min(self._away, 16), _LONGEST_WAIT_S)
        self._away += 1
        self._not_before = now + wait_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def _answered(self) -> None:
        if self._away:
            logger.info("the CAS at %s answers again", self._settings.endpoint)
        self._away = 0

    def _retry(self, name: ActionName) -> None:
        """It failed by itself: once more a little later."""
        self._failures[name] += 1
        if self._failures[name] >= _ATTEMPTS_MAX:
            self._settle(name, None)
            return
        wait_s = _FIRST_WAIT_S * 2 ** self._failures[name] * random.uniform(0.5, 1.0)  # noqa: S311 - as above
        asyncio.get_running_loop().call_later(wait_s, self._queue, name)

    def _settle(self, name: ActionName, content: ActionContent | None) -> None:
        """There is an answer; None: for a while there is none."""
        del self._failures[name]
        if content is None:
            self._known.miss(name, self._clock())
        else:
            self._known.remember(name, content)
            self._found(name, content)
