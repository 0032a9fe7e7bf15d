"""One call of NativeLink's admin service (nativelink-facts 1): a worker and what to do in, how it went out.

HTTP/1.1, a connection for each call, in threads: what NativeLink does with a call is waited for nowhere else. A call takes
`CALL_S` at most, and so does giving one up.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from gateway.config.types import Config
from gateway.observe.draining.endpoint import Endpoint
from gateway.tls import DialContext

OK, ABSENT, REFUSED, UNREACHABLE = RESULTS = ("ok", "absent", "refused", "unreachable")
#: At a time.
CALLS_MAX = 8
CALL_S = 10.0
#: To connect, and between two pieces of an answer.
_SILENCE_S = 5.0
#: Of an answer's text.
_TEXT_BYTES = 4_096
_TEXT_CHARACTERS = 500
#: No such route, or no such method: the path leads to something else.
_NO_ROUTE = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Result:
    """How a call went."""

    #: One of RESULTS.
    word: str
    #: For people; "" with OK.
    text: str = ""


class AdminService:
    """Calls one scheduler's workers. `close` ends it."""

    def __init__(self, config: Config) -> None:
        """Raises StartError where a certificate of gateway.admin.tls cannot be used."""
        self._scheduler = config.scheduler_name
        self._path = config.admin.path
        tls = config.admin.tls
        self._context = DialContext(tls, "gateway.admin.tls") if tls is not None else None
        self._threads = ThreadPoolExecutor(CALLS_MAX, "admin")
        #: Calls, by result.
        self.counts: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))

    async def set_drain(self, endpoint: Endpoint, worker_id: str, *, is_draining: bool) -> Result:
        """Drain or undrain a worker. It never raises."""
        scheduler, worker = quote(self._scheduler, safe=""), quote(worker_id, safe="")
        path = f"{self._path}/scheduler/{scheduler}/set_drain_worker/{worker}/{is_draining:d}"
        connection = self._connection(endpoint)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_S):
                result = await loop.run_in_executor(self._threads, _call, connection, path)
        except TimeoutError:
            result = Result(UNREACHABLE, f"no answer within {CALL_S:.0f} s; it may have been done all the same")
        finally:
            _give_up(connection)
        if result.word != OK:
            result = Result(result.word, self._explained(endpoint, result))
        self.counts[result.word] += 1
        return result

    def close(self) -> None:
        """Calls under way have been given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _connection(self, endpoint: Endpoint) -> http.client.HTTPConnection:
        host, port = endpoint.address.host, endpoint.address.port
        if self._context is None:
            return http.client.HTTPConnection(host, port, timeout=_SILENCE_S)
        return _TlsConnection(host, port, self._context)

    def _explained(self, endpoint: Endpoint, result: Result) -> str:
        at = f"{endpoint}{self._path}"
        if result.word == ABSENT:
            return (
                f"NativeLink has no admin service at {at} ({result.text}): give its listener services: {{ admin: {{}} }}, or say "
                "where it is with gateway.admin.endpoint and gateway.admin.path"
            )
        if result.word == REFUSED:
            return f"NativeLink at {at} answered {result.text}"
        return f"NativeLink's admin service at {at} cannot be reached: {result.text}"


class _TlsConnection(http.client.HTTPSConnection):
    """One whose certificate may be for another name than the one that is dialled."""

    def __init__(self, host: str, port: int, context: DialContext) -> None:
        self._ours = context.current()
        self._name = context.server_name(host)
        super().__init__(host, port, timeout=_SILENCE_S, context=self._ours)

    def connect(self) -> None:
        """Connect and shake hands."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._ours.wrap_socket(self.sock, server_hostname=self._name)


def _call(connection: http.client.HTTPConnection, path: str) -> Result:
    """In a thread."""
    try:
        connection.request("POST", path, headers={"Connection": "close", "User-Agent": "nativelink-gateway"})
        answer = connection.getresponse()
        text = answer.read(_TEXT_BYTES)
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        # A connection that is given up while it is used has no socket any more.
        return Result(UNREACHABLE, _words(error))
    finally:
        connection.close()
    said = f"{answer.status}: {_printable(text)}".removesuffix(": ")
    # A listener of gRPC alone says so in a header, with status 200.
    grpc_status = answer.getheader("grpc-status")
    if answer.status in _NO_ROUTE or grpc_status == "12":
        return Result(ABSENT, f"it answered {said}")
    if not 200 <= answer.status < 300 or grpc_status is not None:
        return Result(REFUSED, said)
    return Result(OK)


def _give_up(connection: http.client.HTTPConnection) -> None:
    """Wakes the thread that may still wait for it."""
    sock: socket.socket | None = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _printable(text: bytes) -> str:
    words = " ".join(text.decode(errors="replace").split())
    return "".join(each if each.isprintable() else "�" for each in words)[:_TEXT_CHARACTERS]
