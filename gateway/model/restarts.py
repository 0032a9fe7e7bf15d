"""When the scheduler began anew: what is unfinished then exists no longer (design 5).

NativeLink does not say so. It shows when nothing that was answered by it is connected any more, its own side ended the last of
that, and a connect is refused; or when it tells all workers to disconnect, as it does when it stops. A worker that is merely
evicted is told the same. So `disconnect` counts as a stop only if it came to several workers together and they were not all
silent, or if clients' connections were ended from the scheduler's side too.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from gateway.model.events import ConnectionClosed
from gateway.model.identity import ConnectionId
from gateway.model.records import Worker
from gateway.model.retention import NS_PER_S

#: What lies this close together is of one moment.
MOMENT_NS = 2 * NS_PER_S
#: Workers told to disconnect that are remembered: several are as good as all.
_REMEMBERED = 16


class Verdict(Enum):
    """What evidence comes to."""

    NOTHING = auto()
    #: A restart is seen.
    RESTART = auto()
    #: One was seen before, and only now nothing of the scheduler that ended is connected any more: what it still said is void.
    GONE = auto()


class RestartWatch:
    """Collects evidence; every method that adds some returns what it comes to."""

    __slots__ = (
        "_answered",
        "_client_ended_at",
        "_ended_at",
        "_has_answered",
        "_is_down",
        "_refused_at",
        "_sent_away",
        "_timeout_ns",
    )

    def __init__(self, worker_timeout_s: int) -> None:
        self.configure(worker_timeout_s)
        #: Open connections on which the scheduler answered a tapped call -> whether a client's.
        self._answered: dict[ConnectionId, bool] = {}
        #: It ever did.
        self._has_answered = False
        #: When the scheduler's side last ended one of them, and one of a client; None: not since the last sign of life.
        self._ended_at: int | None = None
        self._client_ended_at: int | None = None
        self._refused_at: int | None = None
        #: (when, whether its keep-alives were recent) of workers told to disconnect.
        self._sent_away: deque[tuple[int, bool]] = deque(maxlen=_REMEMBERED)
        #: A restart was seen, and nothing answered on a new connection since.
        self._is_down = False

    def configure(self, worker_timeout_s: int) -> None:
        """From now on."""
        self._timeout_ns = worker_timeout_s * NS_PER_S

    def answered(self, connection: ConnectionId, *, is_client: bool) -> bool:
        """The scheduler said something on a connection: a sign of life if it is the first there.

        Returns:
            Whether it came up since: a restart was seen, or it was not there when it was first looked for.
        """
        if connection in self._answered:
            return False
        came_up = self._is_down or (self._refused_at is not None and not self._has_answered)
        self._answered[connection] = is_client
        self._ended_at = self._client_ended_at = self._refused_at = None
        self._sent_away.clear()
        self._is_down = False
        self._has_answered = True
        return came_up

    def closed(self, event: ConnectionClosed, now: int, *, has_workers: bool) -> Verdict:
        """A connection is gone."""
        is_client = self._answered.pop(event.connection, None)
        if is_client is None or not event.by_upstream:
            return Verdict.NOTHING
        self._ended_at = now
        if is_client:
            self._client_ended_at = now
        return self._judge(now, has_workers=has_workers)

    def refused(self, now: int, *, has_workers: bool) -> Verdict:
        """NativeLink did not accept a connection."""
        self._refused_at = now
        return self._judge(now, has_workers=has_workers)

    def sent_away(self, worker: Worker, now: int, *, has_workers: bool) -> Verdict:
        """A worker was told to disconnect; `has_workers`: others are still connected."""
        self._sent_away.append((now, now - worker.last_update_at < self._timeout_ns))
        return self._judge(now, has_workers=has_workers)

    def forget(self, run: str, but: frozenset[ConnectionId] = frozenset()) -> None:
        """Connections of a run ended unseen, all but these: no evidence."""
        self._answered = {
            connection: is_client for connection, is_client in self._answered.items() if connection.run != run or connection in but
        }

    def _judge(self, now: int, *, has_workers: bool) -> Verdict:
        if self._is_down:
            return Verdict.NOTHING if self._answered else Verdict.GONE
        self._is_down = self._is_refusing() or (not has_workers and self._has_stopped(now))
        return Verdict.RESTART if self._is_down else Verdict.NOTHING

    def _is_refusing(self) -> bool:
        if self._answered or self._ended_at is None or self._refused_at is None:
            return False
        return self._refused_at >= self._ended_at - MOMENT_NS

    def _has_stopped(self, now: int) -> bool:
        together = [is_fresh for at, is_fresh in self._sent_away if now - at <= MOMENT_NS]
        if len(together) > 1 and any(together):
            return True
        ended_at = self._client_ended_at
        return bool(together) and not self._answered and ended_at is not None and now - ended_at <= MOMENT_NS
