from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gateway.tap.handover import channel
from gateway.tap.handover.channel import Channel, ChannelError, Kind, RefusedError, SilentError, other_process


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        yield one, other


def _channel(sock: socket.socket, seconds: float = 30) -> Channel:
    made = Channel(sock)
    made.within(seconds)
    return made


def test_what_is_said_is_heard_and_nothing_else_is_taken_for_it(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = map(_channel, ends)
    one.send(Kind.HELLO, b"x" * 1000)
    assert other.receive(Kind.HELLO, Kind.STATE) == (Kind.HELLO, b"x" * 1000)
    one.send(Kind.READY)
    with pytest.raises(ChannelError, match="said 9, not 5"):
        other.receive(Kind.STATE)
    one.send(Kind.REFUSED, "über".encode())
    with pytest.raises(RefusedError, match="über"):
        other.receive(Kind.STATE)


def test_every_wait_has_an_end(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(SilentError):
        _channel(ends[0], 0.01).receive(Kind.READY)
    with pytest.raises(SilentError):
        _channel(ends[0], 0.01).send(Kind.STATE, bytes(10_000_000))
    with pytest.raises(SilentError):
        _channel(ends[0], 0).send_descriptors([0])
    ends[1].close()
    with pytest.raises(ChannelError, match="the other process is gone"):
        _channel(ends[0]).receive(Kind.READY)
    with pytest.raises(ChannelError, match="the other process is gone"):
        _channel(ends[0]).send(Kind.READY)
    with pytest.raises(ChannelError, match="the other process is gone"):
        _channel(ends[0]).receive_descriptors(1)


def _send_descriptors(sock: socket.socket, descriptors: list[int], failed: list[str]) -> threading.Thread:
    def send() -> None:
        try:
            _channel(sock).send_descriptors(descriptors)
        except ChannelError as error:
            failed.append(str(error))

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("many", [0, 1, 250, 251, 600])
def test_any_number_of_descriptors_comes(many: int, ends: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    failed: list[str] = []
    thread = _send_descriptors(ends[0], [writing] * many, failed)
    found = _channel(ends[1]).receive_descriptors(many)
    thread.join()
    assert (len(set(found)), failed) == (many, [])
    os.close(writing)
    for each in found:
        assert not os.get_inheritable(each)
        os.write(each, b"x")
        os.close(each)
    assert len(os.read(reading, 10_000)) == many
    os.close(reading)


def _open_descriptors() -> set[int]:
    found = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
    # That of the directory is none any more.
    return {each for each in found if Path(f"/proc/self/fd/{each}").exists()}


def test_descriptors_that_do_not_fit_are_missed_and_those_that_came_are_closed(ends: tuple[socket.socket, socket.socket]) -> None:
    failed: list[str] = []
    before = _open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room_for_270 = next(limit for limit in count() if limit - sum(each < limit for each in before) == 270)
    thread = _send_descriptors(ends[0], [0] * 300, failed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room_for_270, hard))
        with pytest.raises(ChannelError, match=r"20 of 50 descriptors came: the limit of open files \(RLIMIT_NOFILE\) is too low"):
            _channel(ends[1]).receive_descriptors(300)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    closed = ends[1].fileno()
    ends[1].close()
    thread.join()
    assert failed == ["the other process is gone"]
    assert _open_descriptors() == before - {closed}


def test_the_other_process_is_known(ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    assert other_process(ends[0]) == os.getpid()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ChannelError, match=r"is user \d+'s"):
        other_process(ends[0])


async def test_others_go_on_while_something_is_said_and_heard(ends: tuple[socket.socket, socket.socket]) -> None:
    for end in ends:
        end.setblocking(False)
    hearing = asyncio.create_task(channel.receive(ends[1], Kind.STATE), name="hear")
    await channel.send(ends[0], Kind.STATE, bytes(1_000_000))
    assert await hearing == (Kind.STATE, bytes(1_000_000))
    ends[0].close()
    with pytest.raises(ChannelError, match="the other process is gone"):
        await channel.receive(ends[1], Kind.STATE)
    with pytest.raises(ChannelError, match="the other process is gone"):
        await channel.send(ends[1], Kind.STATE)
