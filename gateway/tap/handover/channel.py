"""Frames and descriptors between two processes of a user: a connected unix socket in, messages out, each wait with an end.

A frame is a kind, four bytes of length, and that many bytes. Descriptors go in batches, each with a frame of its own and
acknowledged before the next: what the system drops for want of room (MSG_CTRUNC) is then known at once.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from enum import IntEnum
from time import monotonic

_HEAD = struct.Struct(">BI")
#: One sendmsg carries at most 253 (SCM_MAX_FD, unix(7)).
_BATCH = 250
_CREDENTIALS = struct.Struct("3i")


class ChannelError(Exception):
    """The other process is gone, says nothing in time, or says something else than was to come; for a person."""


class SilentError(ChannelError):
    """The other process is there, and nothing happens."""


class RefusedError(ChannelError):
    """The other process says that it is not to be."""


class Kind(IntEnum):
    """Of a frame, in the order in which they are said. S: the successor says it."""

    #: S, and the answer to it.
    HELLO = 1
    #: What was open before the ring's first record; the ring's records.
    OPEN_STATE = 2
    RECORDS = 3
    #: That was all; S: all of those are here.
    PREPARED = 4
    #: Everything else, then the descriptors, each batch answered.
    STATE = 5
    DESCRIPTORS = 6
    RECEIVED = 7
    DECODERS = 8
    #: S: could go on.
    READY = 9
    COMMIT = 10
    #: S: does.
    GOING = 11
    #: Either, instead of anything else: it is not to be; why.
    REFUSED = 12


def other_process(sock: socket.socket) -> int:
    """The process at the other end.

    Raises:
        ChannelError: It is another user's.
    """
    pid, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if user != os.geteuid():
        raise ChannelError(f"process {pid} is user {user}'s")
    return int(pid)


class Channel:
    """Blocks, for as long as it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline = 0.0

    def within(self, seconds: float) -> None:
        """Everything from now on has to happen within so long, until this is called again."""
        self._deadline = monotonic() + seconds

    def close(self) -> None:
        """Closes the socket, unless somebody else does."""
        self._sock.close()

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Says something.

        Raises:
            ChannelError: It cannot be said in time.
        """
        try:
            self._wait()
            self._sock.sendall(_HEAD.pack(kind, len(payload)) + payload)
        except OSError as error:
            raise _told(error) from error

    def receive(self, *kinds: Kind) -> tuple[Kind, bytes]:
        """What is said next: one of these.

        Raises:
            ChannelError: Something else, nothing in time, or REFUSED.
        """
        kind, length = _HEAD.unpack(self._read(_HEAD.size))
        payload = self._read(length)
        return _expected(kind, payload, kinds), payload

    def send_descriptors(self, descriptors: Sequence[int]) -> None:
        """Copies of these for the other process, which says that they came.

        Raises:
            ChannelError: They did not.
        """
        for start in range(0, len(descriptors), _BATCH):
            batch = array.array("i", descriptors[start : start + _BATCH])
            try:
                self._wait()
                # So few bytes go at once or not at all.
                self._sock.sendmsg([_HEAD.pack(Kind.DESCRIPTORS, 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, batch)])
            except OSError as error:
                raise _told(error) from error
            self.receive(Kind.RECEIVED)

    def receive_descriptors(self, count: int) -> list[int]:
        """So many, the caller's to close.

        Raises:
            ChannelError: They did not all come; those that did are closed.
        """
        found: list[int] = []
        try:
            while len(found) < count:
                wanted = min(count - len(found), _BATCH)
                found += self._batch(wanted)
                self.send(Kind.RECEIVED)
        except BaseException:
            for each in found:
                os.close(each)
            raise
        return found

    def _batch(self, wanted: int) -> list[int]:
        found = array.array("i")
        try:
            self._wait()
            data, ancillary, flags, _ = self._sock.recvmsg(
                _HEAD.size, socket.CMSG_SPACE(_BATCH * found.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise _told(error) from error
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found.frombytes(payload[: len(payload) - len(payload) % found.itemsize])
        try:
            _check(len(found), wanted, len(data), flags)
            kind, length = _HEAD.unpack(data)
            _expected(kind, self._read(length), (Kind.DESCRIPTORS,))
        except BaseException:
            for each in found:
                os.close(each)
            raise
        return found.tolist()

    def _read(self, count: int) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            try:
                self._wait()
                size = self._sock.recv_into(view)
            except OSError as error:
                raise _told(error) from error
            if not size:
                raise ChannelError("the other process is gone")
            view = view[size:]
        return bytes(data)

    def _wait(self) -> None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)


async def send(sock: socket.socket, kind: Kind, payload: bytes = b"") -> None:
    """As `Channel.send`, and others go on meanwhile. The caller says how long it may take."""
    try:
        await asyncio.get_running_loop().sock_sendall(sock, _HEAD.pack(kind, len(payload)) + payload)
    except OSError as error:
        raise _told(error) from error


async def receive(sock: socket.socket, *kinds: Kind) -> tuple[Kind, bytes]:
    """As `Channel.receive`, and others go on meanwhile. The caller says how long it may take."""
    kind, length = _HEAD.unpack(await _read(sock, _HEAD.size))
    payload = await _read(sock, length)
    return _expected(kind, payload, kinds), payload


async def _read(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        try:
            more = await loop.sock_recv(sock, count - len(data))
        except OSError as error:
            raise _told(error) from error
        if not more:
            raise ChannelError("the other process is gone")
        data += more
    return data


def _check(count: int, wanted: int, said_bytes: int, flags: int) -> None:
    if not said_bytes:
        raise ChannelError("the other process is gone")
    if flags & socket.MSG_CTRUNC or count < wanted:
        raise ChannelError(f"{count} of {wanted} descriptors came: the limit of open files (RLIMIT_NOFILE) is too low")


def _expected(kind: int, payload: bytes, kinds: Sequence[Kind]) -> Kind:
    if kind == Kind.REFUSED:
        raise RefusedError(payload.decode("utf-8", "replace"))
    if kind not in kinds:
        raise ChannelError(f"the other process said {kind}, not {' or '.join(map(str, kinds))}")
    return Kind(kind)


def _told(error: OSError) -> ChannelError:
    if isinstance(error, TimeoutError):
        return SilentError("the other process says nothing in time")
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return ChannelError("the other process is gone")
    return ChannelError(error.strerror or str(error))
