"""Upstream: an implementer of introspection.proto is followed; an up-to-date replica and how old it is go out.

Only messages that complete a state count as news: while a new snapshot is on its way the old replica answers, and grows older.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import grpc

from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.serve.dialling import Dial
from gateway.serve.replica import Changes, Differences, OutOfSequenceError, Replica
from gateway.serve.rows import OperationRow, WorkerRow, operation_row, worker_row

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # exists in the stubs only

#: introspection.proto promises a message a second. After this long without one, answers are not current any more (design 7) …
STALE_AFTER_S = 5.0
#: … and after this long the connection is given up and made anew.
SILENCE_LIMIT_S = 10.0
#: Waits between attempts double from the first to the longest. Each is shortened at random by up to half: replicas of one upstream
#: do not come back in step.
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0
#: All roles start together: for so long it is not worth a warning that upstream is not there yet.
STARTING_S = 3.0
#: Entities that are encoded before requests get their turn: a few milliseconds.
_ENTITIES_AT_ONCE = 200
#: Rows that are freed before requests get their turn: half a millisecond.
_FREED_AT_ONCE = 1_000
_SILENT = f"no message for {SILENCE_LIMIT_S:.0f} s"
#: What calls under way get when the channel that they use is given up.
_GRACE_S = 1.0

logger = logging.getLogger(__name__)


class _ProtocolError(Exception):
    """What came does not follow introspection.proto; the text says how."""


class Follower(Protocol):
    """Is told of every revision, within the same turn of the loop in which requests begin to see it."""

    def begin(self, replica: Replica) -> None:
        """A new state came, in which nothing of the one before need be left."""

    def go_on(self, replica: Replica, differences: Differences) -> None:
        """The state has been taken to its number."""


class Upstream:
    """Follows one implementer for ever, whatever happens to it."""

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises StartError where a certificate cannot be used."""
        self._dial = Dial(config)
        #: For people.
        self.name = self._dial.name
        self._clock = clock
        self._began = clock()
        #: The problem that was logged last; None: the stream was up since.
        self._logged: str | None = None
        #: For questions that the replica cannot answer; None: not following yet.
        self.stub: IntrospectionAsyncStub | None = None
        #: None: no snapshot was complete yet.
        self.replica: Replica | None = None
        #: Why the stream is down; None: it is up and has brought a state.
        self.problem: str | None = "not connected yet"
        #: Since the beginning: snapshots that were read, streams that ended or could not be had.
        self.snapshots = self.interruptions = 0
        #: Clock at the last message that made the replica current.
        self._current_at = 0.0
        #: Entities were dropped or came twice; only a snapshot helps.
        self._needs_snapshot = False
        self.followers: list[Follower] = []

    def silence_s(self) -> float:
        """Seconds since the replica was last made current; meaningless before the first snapshot."""
        return self._clock() - self._current_at

    @property
    def is_stale(self) -> bool:
        """The replica has not been made current for so long that it cannot pass for the present."""
        return self.silence_s() > STALE_AFTER_S

    @property
    def is_away(self) -> bool:
        """The stream is down, or has been silent for too long."""
        return self.problem is not None or self.is_stale

    def age_header(self) -> dict[str, str]:
        """While upstream is away, `Age` says how old the last state is (RFC 9111, 5.1)."""
        return {"Age": str(int(self.silence_s()))} if self.is_away else {}

    async def follow(self) -> None:
        """Watch, and watch again, until cancelled."""
        wait_s = FIRST_WAIT_S
        while True:
            async with self._dial.channel() as channel:
                self.stub = stub = IntrospectionStub(channel)
                is_good = True
                while is_good:
                    before = self._current_at
                    problem = await self._watch_once(stub)
                    self._lost(problem)
                    if self._current_at != before:
                        wait_s = FIRST_WAIT_S
                    await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                    wait_s = min(wait_s * 2, LONGEST_WAIT_S)
                    # Behind a silence there may be a connection to a machine that is gone, which only time would end.
                    is_good = problem != _SILENT and not self._dial.is_outdated
                await channel.close(_GRACE_S)

    async def _watch_once(self, stub: IntrospectionAsyncStub) -> str:
        """Follow one stream; returns why it is over."""
        try:
            await self._read(stub)
        except grpc.aio.AioRpcError as error:
            return self._dial.explain(error)
        except TimeoutError:
            return _SILENT
        except (OutOfSequenceError, _ProtocolError) as error:
            self._needs_snapshot = True
            return f"it does not follow introspection.proto: {error}"
        return "it ended the stream"

    async def _read(self, stub: IntrospectionAsyncStub) -> None:
        request = pb.WatchRequest()
        if self.replica is not None and not self._needs_snapshot:
            request.revision.epoch = self.replica.epoch
            request.revision.number = self.replica.number
        call = stub.Watch(request)
        try:
            while (response := await _next(call)) is not None:
                if response.WhichOneof("response") == "snapshot":
                    read = await self._read_snapshot(call, response.snapshot)
                    parts = self.replica.parts() if self.replica is not None else []
                    self.replica = read
                    self._needs_snapshot = False
                    self.snapshots += 1
                    for follower in self.followers:
                        follower.begin(self.replica)
                    self._news()
                    await _let_go(parts)
                elif self.replica is None or self._needs_snapshot:
                    raise _ProtocolError("changes came before a snapshot")
                else:
                    differences = self.replica.apply(await _changes(response.changes))
                    for follower in self.followers:
                        follower.go_on(self.replica, differences)
                self._news()
        finally:
            call.cancel()

    async def _read_snapshot(
        self, call: grpc.aio.UnaryStreamCall[pb.WatchRequest, pb.WatchResponse], chunk: pb.SnapshotChunk
    ) -> Replica:
        """All chunks of a snapshot, beginning with the one that is here."""
        if not chunk.first:
            raise _ProtocolError("a snapshot did not begin with its first chunk")
        replica = Replica(chunk.revision.epoch, chunk.revision.number)
        with _no_collector():
            while True:
                replica.load(*await _rows(chunk))
                if chunk.HasField("scheduler"):
                    replica.scheduler = chunk.scheduler
                if chunk.HasField("drains"):
                    replica.drains = chunk.drains
                if chunk.last:
                    return replica
                response = await _next(call)
                if response is None or not response.HasField("snapshot") or response.snapshot.first:
                    raise _ProtocolError("a snapshot broke off")
                chunk = response.snapshot

    def _news(self) -> None:
        self._current_at = self._clock()
        if self.problem is not None:
            self.problem = self._logged = None
            logger.info("following %s", self.name)

    def _lost(self, problem: str) -> None:
        self.problem = problem
        self.interruptions += 1
        is_starting = self.replica is None and self._clock() - self._began < STARTING_S
        if problem != self._logged and not is_starting:
            self._logged = problem
            logger.warning("not following %s: %s", self.name, problem)


async def _next(call: grpc.aio.UnaryStreamCall[pb.WatchRequest, pb.WatchResponse]) -> pb.WatchResponse | None:
    """The next message, None at the end of the stream; TimeoutError after `SILENCE_LIMIT_S`."""
    async with asyncio.timeout(SILENCE_LIMIT_S):
        response = await call.read()
    return response if isinstance(response, pb.WatchResponse) else None


async def _changes(batch: pb.ChangeBatch) -> Changes:
    workers, operations = await _rows(batch)
    return Changes(
        epoch=batch.revision.epoch,
        number=batch.revision.number,
        workers=workers,
        operations=operations,
        removed_workers=batch.removed_workers,
        removed_operations=batch.removed_operations,
        scheduler=batch.scheduler if batch.HasField("scheduler") else None,
        drains=batch.drains if batch.HasField("drains") else None,
    )


async def _rows(message: pb.SnapshotChunk | pb.ChangeBatch) -> tuple[list[WorkerRow], list[OperationRow]]:
    """The entities of a message as rows; requests get their turn in between."""
    workers: list[WorkerRow] = []
    operations: list[OperationRow] = []
    for start in range(0, len(message.workers), _ENTITIES_AT_ONCE):
        workers += map(worker_row, message.workers[start : start + _ENTITIES_AT_ONCE])
        await asyncio.sleep(0)
    for start in range(0, len(message.operations), _ENTITIES_AT_ONCE):
        operations += map(operation_row, message.operations[start : start + _ENTITIES_AT_ONCE])
        await asyncio.sleep(0)
    return workers, operations


async def _let_go(parts: list[object]) -> None:
    """Free what was a replica, a little at a time: 100,000 rows at once would keep everybody waiting for 50 ms and more.

    Whoever still answers from that replica keeps its indexes, and with them its rows.
    """
    while parts:
        part = parts.pop()
        while isinstance(part, list) and part:
            del part[-_FREED_AT_ONCE:]
            await asyncio.sleep(0)
        del part
        await asyncio.sleep(0)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without the cyclic collector, then without what was made in the meantime.

    A snapshot is many objects at once and no garbage: collecting in between stalls the loop for 50 ms (design 7), and walking the
    rows again at every full collection would do so too.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
