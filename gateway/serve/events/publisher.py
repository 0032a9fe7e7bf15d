"""Publisher: the replica's revisions and clients come in; whatever a client has not been told is written to it, in walks over all.

A walk writes to each client once, some clients at a time, between which others get their turn. Walks begin at intervals that grow
with the number of clients: a write costs the same whether it carries one change or fifty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from gateway.pb import introspection_pb2 as pb
from gateway.serve.events import wire
from gateway.serve.events.drain_news import DrainNews
from gateway.serve.events.log import PIECE_BYTES, EventLog, Piece
from gateway.serve.events.selection import Selection
from gateway.serve.events.stream import CLIENT_BYTES, Stream
from gateway.serve.ongoing import Ongoing
from gateway.serve.overview import Overview
from gateway.serve.problems import not_ready
from gateway.serve.queries import EventsQuery
from gateway.serve.replica import Differences, Replica
from gateway.serve.upstream import Upstream

#: Clients at a time; one more is told to come back.
CLIENTS_MAX = 1_024
#: From one walk to the next: as long for no client, so much more for each, and at most.
WALK_S, WALK_CLIENT_S, WALK_MAX_S = 0.02, 0.000_08, 0.1
#: How soon a client that is behind is looked at again.
CATCH_UP_S = 0.02
#: How often clients are looked at without a change, and how often scheduler and health are told at most.
TICK_S = 1.0
#: A client that has been told no id for so long is told where it is.
HEARTBEAT_S = 15.0
#: Of a walk, what is done before others get their turn: clients, and seconds of encoding.
_SLICE, _SLICE_S = 64, 0.002
#: Pieces that a walk keeps for the next client with the same filters.
_PIECES_BYTES = 8 * 1024 * 1024


class _Now(NamedTuple):
    """What one walk tells."""

    at: float
    #: The place that it goes to.
    stop: int
    heartbeat: bytes


class Publisher:
    """Tells every client what changes. `run` does so until it is cancelled."""

    def __init__(
        self, upstream: Upstream, overview: Overview, ongoing: Ongoing, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args: who is followed; what renders scheduler and health; where to count; the clock of intervals."""
        self._upstream = upstream
        self._overview = overview
        self._ongoing = ongoing
        self._clock = clock
        self._log = EventLog()
        self._streams: dict[Stream, None] = {}
        #: Equal ones are one object.
        self._selections: WeakValueDictionary[Selection, Selection] = WeakValueDictionary()
        #: Of the walk under way: (id of the selection, place) -> the selection, which keeps its id, and what comes there
        self._pieces: dict[tuple[int, int], tuple[Selection, Piece]] = {}
        self._pieces_bytes = 0
        #: The blocks of scheduler and health, and what they were made from.
        self._scheduler: tuple[object, bytes] = (None, b"")
        self._health: tuple[object, bytes] = (None, b"")
        self._drains = DrainNews()
        self._changed = asyncio.Event()
        self._is_closed = False

    # What comes in.

    def begin(self, replica: Replica) -> None:
        """Every client has to begin anew."""
        self._log.begin(replica.epoch, replica.number)
        self._scheduler = self._health = (None, b"")
        self._drains.begin()
        self._drains.look(replica.number, replica.drains)
        self._look()
        self._changed.set()

    def go_on(self, replica: Replica, differences: Differences) -> None:
        """Every client gets to hear of it."""
        self._log.append(replica.number, differences)
        if self._drains.look(replica.number, replica.drains) or differences.workers or differences.operations:
            self._changed.set()

    def check_room(self) -> None:
        """Whether another client may join.

        Raises:
            ProblemError: 503.
        """
        if self._is_closed:
            raise not_ready("The gateway stops: come back in a moment")
        if len(self._streams) >= CLIENTS_MAX:
            self._ongoing.refused += 1
            raise not_ready(f"{CLIENTS_MAX} clients listen to events already: come back later, or ask the lists")

    def join(self, transport: asyncio.Transport, query: EventsQuery, last_event_id: str | None, head: bytes) -> Stream:
        """A client, which is written its head and where it begins. Whoever called this calls `leave` once the stream has ended.

        Args:
            transport: an open connection.
            query: what it asked for.
            last_event_id: Last-Event-ID; it counts before `query.since`.
            head: of the answer.
        """
        log = self._log
        parts = [head, wire.RETRY]
        since = wire.parse_position(last_event_id) if last_event_id else query.since
        place = log.place(*since) if since is not None else None
        if place is None:
            place = log.end
            if last_event_id or since is not None:
                parts.append(self._reset(wire.NOT_IN_LOG))
            parts.append(self._marker())
        selection = Selection(query.workers, query.operations)
        selection = self._selections.setdefault(selection, selection)
        stream = Stream(
            transport, selection, place, self._clock(), scheduler=query.scheduler, health=query.health, drains=query.drains
        )
        stream.drains_joined = self._drains.version
        stream.write(parts)
        self._streams[stream] = None
        self._ongoing.clients = len(self._streams)
        self._look()
        self._changed.set()
        return stream

    def leave(self, stream: Stream) -> None:
        """The stream is over."""
        self._streams.pop(stream, None)
        self._ongoing.clients = len(self._streams)

    def close(self) -> None:
        """End every stream, and let nobody join."""
        self._is_closed = True
        now = self._clock()
        for stream in self._streams:
            # Whoever is slow would hold up the end of the process.
            if stream.is_open and stream.untaken(now):
                stream.cut()
            stream.end()

    # What goes out.

    async def run(self) -> None:
        """Walk whenever something changed, and every second."""
        tick = due = self._clock()
        behind: Sequence[Stream] = ()
        while True:
            now = self._clock()
            is_tick = now >= tick
            if is_tick or (self._changed.is_set() and now >= due):
                self._changed.clear()
                due = now + min(WALK_S + WALK_CLIENT_S * len(self._streams), WALK_MAX_S)
                if is_tick:
                    tick = now + TICK_S
                    self._look()
                behind = await self._walk(list(self._streams))
            elif behind:
                behind = await self._walk(behind)
            await self._pause(min(due, tick) if self._changed.is_set() else tick, is_hurried=bool(behind))

    async def _pause(self, until: float, *, is_hurried: bool) -> None:
        """Until then, or until something changes; a clock that stands still is no reason to spin."""
        wait_s = max(until - self._clock(), 0.001)
        if is_hurried or self._changed.is_set():
            await asyncio.sleep(min(wait_s, CATCH_UP_S) if is_hurried else wait_s)
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _walk(self, streams: Sequence[Stream]) -> list[Stream]:
        """Write to each what it has not been told; returns those that are still behind."""
        log = self._log
        now = _Now(self._clock(), log.end, wire.heartbeat(log.epoch, log.number))
        behind: list[Stream] = []
        done, began = 0, time.perf_counter()
        for stream in streams:
            if stream.is_open and self._tell(stream, now):
                behind.append(stream)
            elif not stream.is_open:
                stream.end()
            done += 1
            if done >= _SLICE or time.perf_counter() - began > _SLICE_S:
                await asyncio.sleep(0)
                done, began = 0, time.perf_counter()
        self._pieces.clear()
        self._pieces_bytes = 0
        return behind

    def _tell(self, stream: Stream, now: _Now) -> bool:
        """Write to one client; returns whether it is still behind."""
        log = self._log
        untaken = stream.untaken(now.at)
        parts: list[bytes] = []
        if untaken and stream.is_stalled(now.at):
            self._ongoing.resets[wire.TOO_SLOW] += 1
            stream.cut()
            return False
        if stream.place < log.begun:
            parts += (self._reset(wire.NOT_CONTINUED), self._marker())
            stream.place, stream.told_at = log.end, now.at
            stream.scheduler = stream.health = None
            stream.drains, stream.drains_joined = 0, self._drains.version
        elif stream.place < log.first:
            stream.write([self._reset(wire.TOO_SLOW)])
            stream.end()
            return False
        elif stream.place < now.stop:
            if untaken > CLIENT_BYTES - PIECE_BYTES:
                return True
            piece = self._piece(stream.selection, stream.place, now.stop)
            stream.place = piece.end
            if piece.data:
                parts.append(piece.data)
                stream.told_at = now.at
                self._ongoing.events += piece.events
        if stream.place >= now.stop and untaken < CLIENT_BYTES:
            self._tell_beside(stream, now, parts)
        if parts:
            stream.write(parts)
        return stream.place < now.stop

    def _tell_beside(self, stream: Stream, now: _Now, parts: list[bytes]) -> None:
        """To a client that is told every change: what else there is."""
        scheduler, health = self._scheduler[1], self._health[1]
        if stream.wants_scheduler and stream.scheduler is not scheduler:
            stream.scheduler = scheduler
            self._ongoing.events += 1
            parts.append(scheduler)
        if stream.wants_health and stream.health is not health:
            stream.health = health
            self._ongoing.events += 1
            parts.append(health)
        if stream.wants_drains and stream.drains < self._drains.version:
            blocks, stream.drains = self._drains.since(stream.drains, stream.drains_joined)
            self._ongoing.events += len(blocks)
            parts += blocks
        if now.at - stream.told_at >= HEARTBEAT_S and not stream.untaken(now.at):
            stream.told_at = now.at
            parts.append(now.heartbeat)

    def _piece(self, selection: Selection, start: int, stop: int) -> Piece:
        """Encoded once in a walk, for all that are at the same place with the same filters."""
        key = (id(selection), start)
        kept = self._pieces.get(key)
        if kept is None:
            if self._pieces_bytes > _PIECES_BYTES:
                self._pieces.clear()
                self._pieces_bytes = 0
            kept = self._pieces[key] = (selection, self._log.piece(selection, start, stop))
            self._pieces_bytes += len(kept[1].data)
        return kept[1]

    def _marker(self) -> bytes:
        return wire.snapshot(self._log.epoch, self._log.number)

    def _reset(self, reason: str) -> bytes:
        self._ongoing.resets[reason] += 1
        return wire.reset(reason)

    def _look(self) -> None:
        """Make the blocks of scheduler and health anew where they say something else; ages and uptimes alone are nothing else."""
        replica = self._upstream.replica
        if replica is None or not self._streams:
            return
        said = replica.scheduler
        counts: object = (said.counts.SerializeToString(deterministic=True), said.up_since.ToNanoseconds())
        if counts != self._scheduler[0]:
            self._scheduler = (counts, wire.scheduler(replica.number, self._overview.status(said)))
        judged: object = (*self._judged(said), self._upstream.is_stale)
        if judged != self._health[0]:
            self._health = (judged, wire.health(replica.number, self._overview.health()[1]))

    def _judged(self, said: pb.Scheduler) -> tuple[object, ...]:
        return self._overview.judge()[0], *said.health.reasons, "", *self._overview.notes(said)
