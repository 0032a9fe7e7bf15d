"""Slow clients: `python -m benchmarks.slow_clients PORT PATH COUNT`, of three kinds.

dribbles a head, a byte a second, which never ends
takes    asks for PATH and takes a byte of the answer a second, with a receive buffer as small as there is
silent   connects and says nothing

Each that the server ends comes again at once. Prints "ready" when all have connected, one after the other, so that they are not in
step; then answers each line of stdin with what came of them so far, {how: times}: the status of an answer, or how it ended.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from benchmarks import credential
from benchmarks.processes import HOST

#: So many come in a second.
_COME = 100
_PAUSE_S = 1.0
#: The kernel makes it what it has as its least.
_LEAST_BYTES = 1
_STATUS_BYTES = len("HTTP/1.1 200")
_SHOWN = "".join(f"{name}: {value}\r\n" for name, value in credential.HEADERS.items())


class _Slow:
    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{_SHOWN}".encode()
        self._loop = asyncio.get_running_loop()
        #: {how: times}
        self.came: Counter[str] = Counter()

    async def dribble(self, peer: socket.socket) -> None:
        """Until it is answered or closed."""
        for byte in itertools.chain(self._head, itertools.repeat(ord("a"))):
            await self._loop.sock_sendall(peer, bytes((byte,)))
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    answer = await self._loop.sock_recv(peer, 65_536)
                self.came[_status(answer)] += 1
                return

    async def take(self, peer: socket.socket) -> None:
        """Until it is closed."""
        await self._loop.sock_sendall(peer, self._head + b"\r\n")
        answer = b""
        with suppress(ConnectionResetError):
            while byte := await self._loop.sock_recv(peer, 1):
                if len(answer) < _STATUS_BYTES:
                    answer += byte
                    if len(answer) == _STATUS_BYTES:
                        self.came[_status(answer)] += 1
                await asyncio.sleep(_PAUSE_S)
        self.came["cut"] += 1

    async def be_silent(self, peer: socket.socket) -> None:
        """Until it is closed; an answer would be one that nobody asked for."""
        answer = await self._loop.sock_recv(peer, 65_536)
        self.came[_status(answer)] += 1

    async def again_and_again(self, kind: Callable[[socket.socket], Awaitable[None]], connected: asyncio.Event) -> None:
        """A slow client of one kind, as often as it is ended."""
        while True:
            with socket.socket() as peer:
                peer.setblocking(False)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LEAST_BYTES)
                try:
                    await self._loop.sock_connect(peer, (HOST, self._port))
                    connected.set()
                    await kind(peer)
                except OSError as error:
                    self.came[type(error).__name__] += 1
                    await asyncio.sleep(_PAUSE_S)


def _status(answer: bytes) -> str:
    return answer[:_STATUS_BYTES].decode().rpartition(" ")[2] if answer else "closed"


async def main(port: str, path: str, count: str) -> None:
    """Until stdin ends."""
    slow, loop, said = _Slow(int(port), path), asyncio.get_running_loop(), asyncio.StreamReader()
    here = asyncio.current_task()
    assert here is not None
    loop.add_signal_handler(signal.SIGTERM, here.cancel)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), sys.stdin)
    with suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            kinds = itertools.cycle((slow.dribble, slow.take, slow.be_silent))
            everybody = []
            for kind, number in zip(kinds, range(int(count)), strict=False):
                connected = asyncio.Event()
                everybody.append(group.create_task(slow.again_and_again(kind, connected), name=f"slow client {number}"))
                await connected.wait()
                await asyncio.sleep(1 / _COME)
            print("ready", flush=True)
            while await said.readline():
                print(json.dumps(slow.came), flush=True)
            for each in everybody:
                each.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
