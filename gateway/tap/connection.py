"""One connection, sans I/O: what arrived in, records out. Used by the live tap and for recordings alike.

The client's first bytes say what is spoken: HTTP/2 is read, HTTP/1 is read for admin calls, TLS blinds the connection, anything
else is nothing special. No exception leaves here: what cannot be read blinds this connection only, once, with a record and a
line in the log.
"""

from __future__ import annotations

import binascii
import logging
import re
from enum import Enum, auto

from gateway.tap import records
from gateway.tap.bounds import Holding, UnreadableError
from gateway.tap.calls import Calls, Shared
from gateway.tap.http1 import Answered, Http1, NotHttpError, Upgraded
from gateway.tap.http2 import PREFACE, Half, Http2
from gateway.tap.records import TO_CLIENT, TO_SERVER, Totals

_log = logging.getLogger(__name__)

#: What a server may say before its client has said what is spoken: HTTP/2's SETTINGS, no more than this.
_MAX_EARLY_BYTES = 64 * 1024
#: HTTP/1 is read in pieces of this size, so that no piece takes long.
_HTTP1_SLICE_BYTES = 4 * 1024
_TLS_RECORD = re.compile(rb"\x16\x03")
_HTTP1_METHOD = re.compile(rb"[A-Z]{1,20}( |\Z)")


class _Speaks(Enum):
    UNDECIDED = auto()
    HTTP1 = auto()
    HTTP2 = auto()
    #: Not read: blind, or nothing that concerns the tap.
    NOTHING = auto()


class ConnectionDecoder:
    """Reads one connection. Times are CLOCK_MONOTONIC nanoseconds at which things arrived."""

    __slots__ = (
        "_active",
        "_blind",
        "_calls",
        "_early",
        "_first",
        "_holding",
        "_http1",
        "_http2",
        "_now",
        "_recorder",
        "_settings",
        "_speaks",
        "_totals",
        "_upgraded",
        "number",
        "peer",
        "pending_bytes",
    )

    def __init__(self, number: int, peer: str, shared: Shared, totals: Totals) -> None:
        #: Of the records.
        self.number = number
        #: Bytes that wait in the intake; the intake counts.
        self.pending_bytes = 0
        #: host:port
        self.peer = peer
        self._recorder = shared.recorder
        self._totals = totals
        self._holding = Holding(shared.budget, self)
        self._calls = Calls(number, shared, totals, self._holding)
        self._speaks = _Speaks.UNDECIDED
        self._blind = False
        self._now = 0
        #: The client's first bytes, until they say what is spoken.
        self._first = b""
        #: What the server said before that.
        self._early = b""
        self._http1: Http1 | None = None
        #: An HTTP/1 upgrade to h2c was agreed; its HTTP2-Settings.
        self._upgraded = False
        self._settings = b""
        self._http2: Http2 | None = None
        #: Halves that took bytes which are not read yet.
        self._active: list[Half] = []

    @property
    def listener(self) -> str:
        """Its listener's name."""
        return self._totals.name

    @property
    def reads(self) -> bool:
        """Whether bytes are looked at; once not, never again."""
        return self._speaks is not _Speaks.NOTHING

    @property
    def is_blind(self) -> bool:
        """It should be read and cannot be."""
        return self._blind

    @property
    def is_fresh(self) -> bool:
        """Nothing was said yet."""
        return self._speaks is _Speaks.UNDECIDED and not (self._first or self._early or self._upgraded)

    def opened(self, now: int) -> None:
        """The peer connected."""
        self._totals.connections += 1
        self._totals.open_connections += 1
        body = records.connection_opened(self.listener, self.peer)
        self._recorder.record(now, self.number, 0, records.CONNECTION_OPENED, body)

    def refused(self, now: int, reason: str) -> None:
        """Upstream did not answer the dial."""
        self._totals.upstream_refused += 1
        self._recorder.record(now, self.number, 0, records.UPSTREAM_REFUSED, records.upstream_refused(reason))

    def forwarded(self, count: int) -> None:
        """Counts bytes that went by without being given to `feed`."""
        self._totals.bytes += count

    def feed(self, now: int, direction: int, data: bytes) -> None:
        """Takes bytes that arrived and were forwarded. `work` until it says True must come before the next `feed`."""
        self._totals.bytes += len(data)
        self._now = now
        try:
            if self._http2 is not None:
                half = self._http2.half(direction)
                half.feed(data, now)
                self._active.append(half)
            elif self._http1 is not None:
                _cut(self._http1, direction, data)
            elif self._speaks is _Speaks.UNDECIDED:
                self._sniff(direction, data)
        except UnreadableError as error:
            self.blind(now, error.reason, error.detail)
        except Exception as error:  # a defect here may blind this connection, never more  # noqa: BLE001 - P1
            self._fail(error)

    def work(self) -> bool:
        """Reads a slice of what was taken, of a few milliseconds at most: whether all of it has been read."""
        try:
            while self._active:
                if not self._active[0].work():
                    return False
                # Reading may have blinded the connection or, after an upgrade, changed what is spoken.
                del self._active[:1]
            http1 = self._http1
            if http1 is not None and http1.unread:
                self._read_http1(http1, *http1.unread.popleft())
                return not (http1.unread or self._active)
        except UnreadableError as error:
            self.blind(self._now, error.reason, error.detail)
        except Exception as error:  # a defect here may blind this connection, never more  # noqa: BLE001 - P1
            self._fail(error)
        return True

    def eof(self, now: int, direction: int) -> None:
        """The side that speaks in this direction sent FIN."""
        if self._http2 is not None and self.reads and self._http2.half(direction).inside_frame:
            self.blind(now, records.HTTP2, "the last frame is cut off")

    def closed(self, now: int, by: int, *, reset: bool) -> None:
        """The connection is over: so are its calls."""
        self._calls.close(now)
        self._forget()
        self._holding.end()
        self._totals.open_connections -= 1
        self._totals.blind_connections -= self._blind
        self._recorder.connection_closed(now, self.number, by, reset=reset)

    def blind(self, now: int, reason: int, detail: str) -> None:
        """Stops reading, for ever. Said once."""
        if not self.reads:
            return
        self._go_blind(reason)
        self._recorder.record(now, self.number, 0, records.BLINDED, records.blinded(reason, detail))
        _log.warning("connection %d of %s to tap %s is not read any more: %s", self.number, self.peer, self.listener, detail)

    def give_up(self) -> None:
        """As blind, where no record can be made of it."""
        if self.reads:
            self._go_blind(records.INTERNAL)

    def ignore(self) -> None:
        """Stops reading what is nothing special."""
        if self.reads:
            self._forget()

    def give_way(self, detail: str) -> None:
        """Others need the memory that this connection holds."""
        self.blind(self._now, records.OVERLOADED, detail)

    def _fail(self, error: Exception) -> None:
        _log.error("connection %d of %s: the decoder failed", self.number, self.peer, exc_info=error)
        self.blind(self._now, records.INTERNAL, type(error).__name__)

    def _go_blind(self, reason: int) -> None:
        self._forget()
        self._blind = True
        self._totals.blind_connections += 1
        self._totals.blinded[reason] = self._totals.blinded.get(reason, 0) + 1

    def _forget(self) -> None:
        """Gives back everything but the list of open calls, which end with the connection."""
        self._speaks = _Speaks.NOTHING
        self._calls.forget()
        if self._http2 is not None:
            self._http2.part()
            self._http2 = None
        self._active = []
        self._http1 = None
        self._early = self._first = b""
        self._holding.give_all()

    def _take_early(self) -> bytes:
        early, self._early = self._early, b""
        self._holding.give(len(early))
        return early

    def _sniff(self, direction: int, data: bytes) -> None:
        if direction == TO_CLIENT:
            if len(self._early) + len(data) > _MAX_EARLY_BYTES:
                self._forget()
                return
            self._early += data
            self._holding.take(len(data))
            return
        self._first += data
        first = self._first
        if first.startswith(PREFACE):
            self._begin_http2(first[len(PREFACE) :])
        elif PREFACE.startswith(first):
            return
        elif self._upgraded or first.startswith(PREFACE[:6]):
            raise UnreadableError(records.HTTP2, "no HTTP/2 preface")
        elif _TLS_RECORD.match(first):
            raise UnreadableError(records.TLS, "TLS on a listener without certificates")
        elif _HTTP1_METHOD.match(first):
            self._speaks = _Speaks.HTTP1
            self._http1 = http1 = Http1()
            early = self._take_early()
            self._first = b""
            _cut(http1, TO_SERVER, first)
            _cut(http1, TO_CLIENT, early)
        elif first != b"\x16":
            self._forget()

    def _begin_http2(self, rest: bytes) -> None:
        self._speaks = _Speaks.HTTP2
        self._http2 = http2 = Http2(self._calls, self._holding)
        if self._settings:
            http2.to_client.agreed(self._settings)
        early = self._take_early()
        self._first = b""
        for half, data in ((http2.to_client, early), (http2.to_server, rest)):
            if data:
                half.feed(data, self._now)
                self._active.append(half)

    def _read_http1(self, http1: Http1, direction: int, data: bytes) -> None:
        kept = http1.kept_bytes
        found: list[Answered | Upgraded] = []
        try:
            if direction == TO_SERVER:
                http1.to_server(data)
            else:
                found = http1.to_client(data)
        except NotHttpError:
            self._forget()
            return
        more = http1.kept_bytes - kept
        if more > 0:
            self._holding.take(more)
        elif more:
            self._holding.give(-more)
        for each in found:
            if isinstance(each, Answered):
                body = records.admin_call(each.request, each.status, is_grpc=each.is_grpc)
                self._recorder.record(self._now, self.number, 0, records.ADMIN_CALL, body)
            elif each.protocol == b"h2c":
                self._upgrade(http1, each.settings, each.rest)
            else:
                self._forget()

    def _upgrade(self, http1: Http1, settings: bytes, rest: bytes) -> None:
        """The server goes on with HTTP/2 at once, the client with its preface (RFC 7540 3.2)."""
        try:
            self._settings = binascii.a2b_base64(settings.translate(_URL_SAFE) + b"=" * (-len(settings) % 4))
        except binascii.Error:
            raise UnreadableError(records.HTTP2, "HTTP2-Settings") from None
        self._http1 = None
        self._holding.give(http1.kept_bytes)
        self._speaks = _Speaks.UNDECIDED
        self._upgraded = True
        client = http1.client_rest + b"".join(data for direction, data in http1.unread if direction == TO_SERVER)
        server = rest + b"".join(data for direction, data in http1.unread if direction == TO_CLIENT)
        for direction, data in ((TO_CLIENT, server), (TO_SERVER, client)):
            if data and self._http2 is None:
                self._sniff(direction, data)


def _cut(http1: Http1, direction: int, data: bytes) -> None:
    http1.unread.extend((direction, data[pos : pos + _HTTP1_SLICE_BYTES]) for pos in range(0, len(data), _HTTP1_SLICE_BYTES))


_URL_SAFE = bytes.maketrans(b"-_", b"+/")
