"""Clients of the events benchmark: `python -m benchmarks.events_clients PORT PATH COUNT`.

Opens COUNT event streams, prints "ready", and listens until its standard input ends. Then it prints what it saw as JSON: how many
changes every client got, and of some, which are looked at closely, the changes' numbers and delays.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time

from benchmarks import credential

_SHOWN = "".join(f"{name}: {value}\r\n" for name, value in credential.HEADERS.items())
_REQUEST = f"GET {{}} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{_SHOWN}\r\n"
#: Once in every change.
_NEEDLE = b'"operation_id":"'
#: What the feed writes into an action's hash: when it was changed, nanoseconds of this machine's monotonic clock, and its number.
_MADE = re.compile(rb'"action_digest":"sha256:([0-9a-f]{16})([0-9a-f]{48})"')
#: Longer than such a digest.
_TAIL = 128
#: Every so many clients one is looked at closely.
_CLOSELY = 50


class _Stream:
    def __init__(self, port: int, path: str, *, closely: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(_REQUEST.format(path).encode())
        self.closely = closely
        self.changes = 0
        self.numbers: list[int] = []
        self.delays_ms: list[float] = []
        self._tail = b""

    def take(self, chunk: bytes) -> None:
        data = self._tail + chunk
        if not self.closely:
            self.changes += data.count(_NEEDLE)
            self._tail = data[1 - len(_NEEDLE) :]
            return
        now, end = time.monotonic_ns(), 0
        for found in _MADE.finditer(data):
            self.delays_ms.append((now - int(found[1], 16)) / 1e6)
            self.numbers.append(int(found[2], 16))
            end = found.end()
        self.changes = len(self.numbers)
        self._tail = data[max(end, len(data) - _TAIL) :]


def main(port: str, path: str, count: str) -> None:
    """Listen, then tell."""
    poll = select.epoll()
    streams = {}
    for number in range(int(count)):
        stream = _Stream(int(port), path, closely=not number % _CLOSELY)
        stream.socket.setblocking(False)
        streams[stream.socket.fileno()] = stream
        poll.register(stream.socket.fileno(), select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    is_over = False
    while not is_over:
        for descriptor, _ in poll.poll():
            if descriptor == sys.stdin.fileno():
                is_over = True
                continue
            chunk = streams[descriptor].socket.recv(1 << 18)
            if not chunk:
                raise SystemExit("a stream ended")
            streams[descriptor].take(chunk)
    closely = [stream for stream in streams.values() if stream.closely]
    print(
        json.dumps(
            {
                "changes": [stream.changes for stream in streams.values()],
                "numbers": [stream.numbers for stream in closely],
                "delays_ms": [delay for stream in closely for delay in stream.delays_ms],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
