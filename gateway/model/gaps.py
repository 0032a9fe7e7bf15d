"""What is not known after records were lost or a connection went blind, how it comes right again, and the end of a tap's run.

Across a gap a worker may have got or reported operations unseen. So its running operations are in doubt: one that is known
otherwise to be over is taken from it, instead of waiting for a report that has been. What it completed can be known only when it
registers again.
"""

from __future__ import annotations

from gateway.model.changes import RecordsLost
from gateway.model.events import MessageUnread, ReadingStopped, RecordsMissed, RunEnded, Stage, StreamsConfirmed
from gateway.model.followers import Followers
from gateway.model.identity import ConnectionId
from gateway.model.lifecycle import Work
from gateway.model.records import Worker
from gateway.model.register import Register
from gateway.model.retention import NS_PER_S
from gateway.model.timers import Due
from gateway.model.workforce import Workforce

#: The scheduler's sweep for operations that nobody follows, and the worker's answer to being told to kill (nativelink-facts 7).
_SWEEP_NS = 10 * NS_PER_S


class Gaps:
    """Where sight was lost."""

    __slots__ = ("_blind", "_followers", "_open", "_register", "_timers", "_workforce", "records_missed")

    def __init__(self, register: Register, workforce: Workforce, followers: Followers) -> None:
        self._register = register
        self._workforce = workforce
        self._followers = followers
        self.records_missed = 0
        #: Run -> when its open streams were confirmed; None: they are not yet. Until it has healed.
        self._open: dict[str, int | None] = {}
        #: Connections that are open and not read.
        self._blind: set[ConnectionId] = set()
        #: Kinds of timers that are set.
        self._timers: set[Due] = set()

    @property
    def is_partial(self) -> bool:
        """Whether operations may run unseen because of a gap."""
        return bool(self._open)

    def missed(self, event: RecordsMissed) -> None:
        """Anything may have happened on the streams of the run."""
        register = self._register
        self.records_missed += event.count
        self._open[event.run] = None
        register.emit(RecordsLost, event.count)
        register.anomaly("records_missed", "", f"{event.count} records of run {event.run}")
        for worker in self._of_run(event.run):
            self._doubt(worker)
        self._look_again(register.now + self._timeout(), Due.UNCONFIRMED)

    def confirmed(self, event: StreamsConfirmed) -> None:
        """What is listed is open; what is not ended unseen."""
        register = self._register
        self._blind = {each for each in self._blind if each.run != event.run or each in event.connections}
        self._followers.leave_all(lambda stream: stream.run == event.run and stream not in event.streams)
        for stream in [stream for stream in self._workforce.by_stream if stream.run == event.run]:
            if stream not in event.streams and stream.connection_id not in self._blind:
                self._workforce.end_stream(stream, "its end was not seen")
        if event.run not in self._open:
            return
        for worker in self._of_run(event.run):
            # Also one that connected within the gap.
            self._doubt(worker)
        self._open[event.run] = register.now
        self._look_again(self._heals_at(register.now), Due.HEALED)

    def run_ended(self, event: RunEnded) -> None:
        """The tap went away, and with it every connection through it."""
        self._open.pop(event.run, None)
        self._blind = {each for each in self._blind if each.run != event.run}
        self._followers.leave_all(lambda stream: stream.run == event.run)
        for stream in [stream for stream in self._workforce.by_stream if stream.run == event.run]:
            self._workforce.end_stream(stream, "tap ended")

    def reading_stopped(self, event: ReadingStopped) -> None:
        """Clients on the connection are taken as gone; its workers stay until it closes, and nothing new is known of them."""
        connection = event.connection
        self._register.anomaly("reading_stopped", "", f"{connection}: {event.reason}")
        self._followers.leave_all(lambda stream: stream.connection_id == connection)
        for worker in self._register.workers.values():
            if worker.stream.connection_id == connection:
                self._doubt(worker)
        self._blind.add(connection)

    def connection_closed(self, connection: ConnectionId) -> None:
        """The ends of its streams were told before, unless it was not read."""
        if connection in self._blind:
            self._blind.remove(connection)
            for stream in [stream for stream in self._workforce.by_stream if stream.connection_id == connection]:
                self._workforce.end_stream(stream, "connection closed")

    def unread(self, event: MessageUnread) -> None:
        """One message is missing."""
        worker = self._register.workers.get(self._workforce.by_stream.get(event.stream, ""))
        if worker is not None:
            self._doubt(worker)
        self._followers.unread(event.stream)
        entity = worker.id if worker is not None else self._followers.name(event.stream)
        self._register.anomaly("unread", entity, f"{event.stream}: {event.reason}")

    def lose_unconfirmed(self) -> None:
        """After a gap whose open streams nobody confirmed, a worker without keep-alive for `worker_timeout_s` is gone."""
        now, timeout = self._register.now, self._timeout()
        self._timers.discard(Due.UNCONFIRMED)
        unconfirmed = [worker for run, since in self._open.items() if since is None for worker in self._of_run(run)]
        for worker in unconfirmed:
            if worker.last_update_at + timeout <= now:
                self._workforce.end_stream(worker.stream, "no keep-alive since a gap")
            else:
                self._look_again(worker.last_update_at + timeout, Due.UNCONFIRMED)

    def heal(self) -> None:
        """What ran unseen has been told to clients, or was abandoned, killed and reported: all that runs is known."""
        now = self._register.now
        self._timers.discard(Due.HEALED)
        for run, since in list(self._open.items()):
            if since is None:
                continue
            if now < self._heals_at(since):
                self._look_again(self._heals_at(since), Due.HEALED)
            elif self._may_run_unseen(since):
                self._look_again(now + _SWEEP_NS, Due.HEALED)
            else:
                self._give_up_unasked(run, since)
                del self._open[run]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _look_again(self, at: int, due: Due) -> None:
        """Once for each kind; who is then found to be later is looked at again."""
        if due not in self._timers:
            self._timers.add(due)
            self._register.timers.set(at, due)

    def _may_run_unseen(self, since: int) -> bool:
        """Whether something of before `since` executes and no worker is known to have it."""
        register = self._register
        if not register.settings.sees_clients:
            return any(not worker.is_complete for worker in register.workers.values())
        return any(
            row.stage is Stage.EXECUTING and row.work is Work.NONE and row.load_at <= since for row in register.operations.values()
        )

    def _give_up_unasked(self, run: str, since: int) -> None:
        """What a worker got before the gap, and no client was ever seen to ask for: who asked was told within the gap, and is gone.

        Whoever follows it has an open stream, which was confirmed; what nobody follows was killed since, and reported. Where
        clients go past the taps it may run on, and is not shown until it is reported.
        """
        register = self._register
        if self._followers.waits_unnamed(since):
            return
        for worker in self._of_run(run):
            for operation_id in list(worker.running):
                row = register.by_operation_id.get(operation_id)
                if row is not None and row.is_doubtful and not row.clients and row.is_held_by(worker.id):
                    row.is_abandoned = True
                    self._workforce.release_doubtful(row, counts=False)

    def _heals_at(self, since: int) -> int:
        return since + self._register.settings.client_action_timeout_s * NS_PER_S + _SWEEP_NS

    def _timeout(self) -> int:
        return self._register.settings.worker_timeout_s * NS_PER_S

    def _of_run(self, run: str) -> list[Worker]:
        return [worker for worker in self._register.workers.values() if worker.stream.run == run]

    def _doubt(self, worker: Worker) -> None:
        register = self._register
        worker.is_complete = False
        register.touch_worker(worker)
        for operation_id in worker.running:
            row = register.by_operation_id.get(operation_id)
            if row is not None and row.is_held_by(worker.id):
                row.is_doubtful = True
                register.touch(row)
