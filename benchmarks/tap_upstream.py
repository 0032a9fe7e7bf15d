"""A NativeLink without a think time: Execute calls, workers and bulk of the benchmark's clients in, pre-encoded frames out.

An action goes to the workers in turn; without any the three updates are sent at once. Each update is a write of its own, as each is
a message of its own there.
"""

from __future__ import annotations

import asyncio
from typing import cast

from benchmarks import tap_messages as messages
from gateway.simulation.quick import frames as http2
from gateway.simulation.quick.frames import DATA, HEADERS, PREFACE


class Scheduler:
    """What the two listeners share."""

    def __init__(self) -> None:
        self.workers: list[WorkerSide] = []
        self._turn = 0
        #: Number of an action -> who waits for it: connection, stream, the update with `done`.
        self.running: dict[int, tuple[ExecutionSide, int, bytes]] = {}

    def worker(self) -> WorkerSide | None:
        """Whose turn it is; None: there is none."""
        if not self.workers:
            return None
        self._turn = (self._turn + 1) % len(self.workers)
        return self.workers[self._turn]


class Side(asyncio.Protocol):
    """One connection; subclasses read frames."""

    transport: asyncio.Transport

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.rest = b""
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first bytes."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(http2.OPENING)

    def data_received(self, data: bytes) -> None:
        """Frames, or bytes to forward."""
        if self.rest:
            data = self.rest + data
        if not self._greeted:
            if len(data) < len(PREFACE):
                self.rest = data
                return
            assert data.startswith(PREFACE)
            data, self._greeted = data[len(PREFACE) :], True
        self.rest = data[self.read(data) :]

    def read(self, data: bytes) -> int:
        """Takes whole frames; how many bytes they were."""
        raise NotImplementedError


class ExecutionSide(Side):
    """A client's connection: Execute calls, or one stream of bulk."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._answers = messages.Answers()
        self._bulk = b""
        #: Bytes of the bulk message that are still to come.
        self._owed = 0
        #: What a call's messages brought so far; proxies may cut them.
        self._pieces: dict[int, bytes] = {}

    def data_received(self, data: bytes) -> None:
        """Bulk is counted, nothing else."""
        if self._bulk:
            self._count(len(data))
        else:
            super().data_received(data)

    def read(self, data: bytes) -> int:
        """Whole frames."""
        read = 0
        for kind, flags, stream, begin, end in http2.frames(data):
            if kind == DATA:
                self._data(stream, data[begin:end])
                if not flags & http2.END_STREAM and end - begin >= http2.MAX_FRAME:
                    # Windows, and frames from here on, come to the length of each message in wire bytes.
                    self._bulk = messages.bulk()
                    self.transport.write(self._answers.head(stream))
                    self._owed = len(self._bulk) - (end - begin + http2.FRAME + 2 * 13)
                    self._count(len(data) - end)
                    return len(data)
            elif kind == http2.PING and not flags:
                self.transport.write(http2.frame(http2.PING, http2.ACK, 0, data[begin:end]))
            elif kind == http2.SETTINGS and not flags:
                self.transport.write(http2.SETTINGS_ACK)
            read = end
        return read

    def _count(self, count: int) -> None:
        """Each whole message of bulk is answered by one."""
        self._owed -= count
        while self._owed <= 0:
            self._owed += len(self._bulk)
            self.transport.write(self._bulk)

    def _data(self, stream: int, payload: bytes) -> None:
        if len(payload) >= http2.MAX_FRAME:
            return
        payload = self._pieces.pop(stream, b"") + payload
        if len(payload) < len(messages.REQUEST):
            if payload:
                self._pieces[stream] = payload
            return
        number = messages.number_of(payload, 0)
        queued, executing, completed = messages.updates(stream, number)
        write = self.transport.write
        worker = self.scheduler.worker()
        write(self._answers.head(stream) + queued)
        if worker is not None:
            self.scheduler.running[number] = self, stream, completed
            worker.transport.write(messages.start(worker.number, number))
        write(executing)
        if worker is None:
            write(completed + self._answers.tail(stream))

    def completed(self, stream: int, completed: bytes) -> None:
        """The worker has sent the result."""
        if not self.transport.is_closing():
            self.transport.write(completed + self._answers.tail(stream))


class WorkerSide(Side):
    """A worker's connection."""

    number = 0

    def read(self, data: bytes) -> int:
        """Whole frames."""
        read = 0
        for kind, flags, _, begin, end in http2.frames(data):
            if kind == HEADERS:
                workers = self.scheduler.workers
                self.number = len(workers) + 1
                workers.append(self)
                self.transport.write(messages.Answers().head(1) + messages.connected(self.number))
            elif kind == DATA and end - begin >= messages.RESULT_LEAST:
                waiting, stream, completed = self.scheduler.running.pop(messages.result_of(data, begin))
                waiting.completed(stream, completed)
            elif kind == http2.SETTINGS and not flags:
                self.transport.write(http2.SETTINGS_ACK)
            read = end
        return read

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        """However it ended."""
        if self in self.scheduler.workers:
            self.scheduler.workers.remove(self)
