"""One supervisor after another on the same state_dir: sockets that listen go to the successor, and the order of the change is kept.

The successor asks on a unix socket and gets the listening sockets. Its tap takes the connections over from the tap that runs
(`gateway.tap.handover`), and only when it has does the predecessor let go: it ends `observe` and `serve`, and then itself. If
anything fails before, the successor ends, and the predecessor goes on as if nothing had been.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from gateway import __version__
from gateway.config.types import Config
from gateway.errors import StartError
from gateway.tap.handover import channel
from gateway.tap.handover.channel import Channel, ChannelError, Kind, other_process
from gateway.tap.handover.messages import taps_of

logger = logging.getLogger(__name__)

#: Of what two supervisors say to each other.
_PROTOCOL = 1
#: How long an answer may take.
_ANSWER_S = 10.0
#: How long the descriptors may take, a handful.
_DESCRIPTORS_S = 1.0
#: How long a successor's tap may take: longer than its own waits. The successor gives up first, so that both say the same.
_TAKING_S = 60.0
_TAKEN_S = 45.0

#: Sockets that listen: role -> name -> socket.
Listeners = Mapping[str, Mapping[str, socket.socket]]


def _path(config: Config) -> Path:
    return config.state_dir / "supervisor.sock"


def hello(config: Config) -> dict[str, Any]:
    """Who a supervisor is, and what cannot change without a restart."""
    return {
        "protocol": _PROTOCOL,
        "release": __version__,
        "gateway.taps": taps_of(config),
        "gateway.tap.processes": config.tap.processes,
        "servers[].listener.http.socket_address (or --http)": str(config.http),
    }


class Held(Protocol):
    """A role that is not started again for a while."""

    def hold(self) -> None:
        """If it ends, it stays so."""
        ...

    def release(self) -> None:
        """If it has ended, it is started again."""
        ...


class Offer:
    """The predecessor's side. `taken` is set when a successor has the connections."""

    def __init__(self, config: Config, listeners: Listeners, taps: Sequence[Held]) -> None:
        """`taps` end when they have handed over."""
        self._path = _path(config)
        self._hello = hello(config)
        self._listeners = listeners
        self._taps = taps
        self.taken = asyncio.Event()

    async def serve(self) -> None:
        """Answers successors, one at a time, until it is cancelled or one has taken over. Where it cannot, it says so."""
        try:
            with self._listen() as listening:
                while not self.taken.is_set():
                    sock, _ = await asyncio.get_running_loop().sock_accept(listening)
                    with sock:
                        sock.setblocking(False)
                        await self._answer(sock)
        except OSError as error:
            logger.warning("no other gateway can take over: %s: %s", self._path, error.strerror or error)
        finally:
            if not self.taken.is_set():
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._path.unlink(missing_ok=True)
            sock.bind(str(self._path))
            # Nobody can connect before listen().
            self._path.chmod(0o600)
            sock.listen(1)
        except OSError:
            sock.close()
            raise
        return sock

    async def _answer(self, sock: socket.socket) -> None:
        for tap in self._taps:
            tap.hold()
        try:
            async with asyncio.timeout(_TAKING_S):
                await self._hand_over(sock)
        except (ChannelError, ValueError, TimeoutError) as error:
            why = str(error) or "the successor's tap has not taken over in time"
            logger.warning("not handed over, going on: %s", why)
            talk = Channel(sock)
            talk.within(1)
            with contextlib.suppress(ChannelError):
                talk.send(Kind.REFUSED, why.encode())
        finally:
            if not self.taken.is_set():
                for tap in self._taps:
                    tap.release()

    async def _hand_over(self, sock: socket.socket) -> None:
        pid = other_process(sock)
        _, said = await channel.receive(sock, Kind.HELLO)
        successor: Any = json.loads(said)
        if not isinstance(successor, dict):
            raise ChannelError("the successor does not say who it is")
        for key, ours in self._hello.items():
            if key != "release" and successor.get(key) != ours:
                raise ChannelError(f"{key} is not what it was: stop the gateway (pid {pid} asked), then start the other")
        logger.info("process %d, release %s, wants to take over", pid, successor.get("release"))
        named = [(role, name, sock) for role, sockets in self._listeners.items() for name, sock in sockets.items()]
        await channel.send(sock, Kind.HELLO, json.dumps([(role, name) for role, name, _ in named]).encode())
        talk = Channel(sock)
        # Nothing else happens here meanwhile.
        talk.within(_DESCRIPTORS_S)
        talk.send_descriptors([each.fileno() for _, _, each in named])
        sock.setblocking(False)
        await channel.receive(sock, Kind.GOING)
        logger.info("process %d has taken over", pid)
        self.taken.set()


class Predecessor:
    """The successor's side: has the sockets that listen, and closes them in the end."""

    def __init__(self, sock: socket.socket, listeners: dict[str, dict[str, socket.socket]]) -> None:
        self._sock = sock
        self.listeners = listeners

    @classmethod
    def ask(cls, config: Config) -> Self:
        """Asks the supervisor of `config.state_dir`.

        Raises:
            StartError: There is none, or it does not hand over.
        """
        path = _path(config)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_ANSWER_S)
        talk = Channel(sock)
        talk.within(_ANSWER_S)
        try:
            sock.connect(str(path))
            other_process(sock)
            talk.send(Kind.HELLO, json.dumps(hello(config)).encode())
            names: list[tuple[str, str]] = json.loads(talk.receive(Kind.HELLO)[1])
            descriptors = talk.receive_descriptors(len(names))
        except OSError as error:
            sock.close()
            raise StartError(f"--take-over: nobody hands over at {path}: {error.strerror or error}") from error
        except ChannelError as error:
            sock.close()
            raise StartError(f"--take-over: {error}") from error
        listeners: dict[str, dict[str, socket.socket]] = {}
        for (role, name), descriptor in zip(names, descriptors, strict=True):
            listeners.setdefault(role, {})[name] = socket.socket(fileno=descriptor)
        return cls(sock, listeners)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()
        for sockets in self.listeners.values():
            for each in sockets.values():
                each.close()

    def let_go(self) -> None:
        """The connections are here: it may end."""
        talk = Channel(self._sock)
        talk.within(_ANSWER_S)
        try:
            talk.send(Kind.GOING)
        except ChannelError as error:
            logger.warning("the gateway before this one: %s", error)


async def came(descriptor: int, within_s: float = _TAKEN_S) -> bool:
    """Whether somebody writes to the other end of a pipe; False: it was closed, or nothing happened in time."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        async with asyncio.timeout(within_s):
            await readable.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    with open(descriptor, "rb", closefd=False) as pipe:  # noqa: ASYNC230 # a descriptor has no path, and it can be read
        return bool(pipe.read(1))
