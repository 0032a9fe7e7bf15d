"""Gateways that take over from each other as whole commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.config.load import load_config
from gateway.succession import hello
from gateway.tap.handover.channel import Channel, Kind, RefusedError
from tests.command import PATIENCE_S, Command, Settings, command, finished, free_ports, is_alive
from tests.tap.running import Pair, listening


class _Farm:
    """A gateway on a configuration file, and connections through it."""

    def __init__(self, directory: Path, upstream: socket.socket, **more: object) -> None:
        self.upstream = upstream
        (self.port,) = free_ports(1)
        tap = {"name": "execution", "listen": f"127.0.0.1:{self.port}", "carries": ["execution"]}
        self.settings = Settings(directory, taps=[{**tap, "upstream": f"127.0.0.1:{upstream.getsockname()[1]}"}], **more)
        self.arguments = ("run", f"--config={self.settings.file}")

    async def connect(self) -> Pair:
        loop = asyncio.get_running_loop()
        client = socket.socket()
        client.setblocking(False)
        async with asyncio.timeout(PATIENCE_S):
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            server, _ = await loop.sock_accept(self.upstream)
        return Pair(client, server)

    async def answers(self) -> bytes:
        """The first line of an answer over HTTP."""
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.http)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer.partition(b"\r\n")[0]


async def _up(gateway: Command) -> None:
    for line in ("tap execution forwards", "introspection answers at", "answering on"):
        await gateway.logged(line)


async def _talks(pair: Pair) -> None:
    await pair.pass_on(pair.client, b"to server")
    await pair.pass_on(pair.server, b"to client")


async def test_a_gateway_takes_over_from_another_and_is_taken_over_in_turn(tmp_path: Path) -> None:
    async with listening() as upstream, AsyncExitStack() as stack:
        farm = _Farm(tmp_path, upstream)
        async with command(*farm.arguments) as first:
            await _up(first)
            pair = await farm.connect()
            notified = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            notified.bind(str(tmp_path / "notify"))
            async with command(*farm.arguments, "--take-over", NOTIFY_SOCKET=str(tmp_path / "notify")) as second:
                await second.logged("took over 1 connections")
                # What systemd is told, in time: the first one has not ended before.
                assert notified.recv(100) == b"MAINPID=%d" % second.pid
                assert notified.recv(100) == b"READY=1"
                # Nobody serves for a moment: who asks waits.
                assert await farm.answers() == b"HTTP/1.1 200 OK"
                assert await first.ended() == 0
                await _talks(pair)
                await _up(second)
                async with command(*farm.arguments, "--take-over") as third:
                    assert await second.ended() == 0
                    await _up(third)
                    await _talks(pair)
                    new = await farm.connect()
                    await _talks(new)
                    # A tap that is killed comes back, and the next gateway is refused as ever.
                    os.kill(await third.pid_of("tap"), signal.SIGKILL)
                    await third.pid_of("tap", life=2)
                    await third.logged("tap execution forwards", count=2)
                    code, _, said = await finished(*farm.arguments)
                    assert (code, f"in use by another gateway (pid {third.pid}, lock)" in said) == (1, True)
                    third.send(signal.SIGTERM)
                    assert await third.ended() == 0
                    for each in (pair, new):
                        each.close()
        assert [each.name for each in farm.settings.state_dir.glob("running*")] == ["running.json"]
        assert not list(farm.settings.state_dir.glob("*.sock"))


async def test_several_serve_processes_are_taken_over_by_as_many_as_the_next_one_has(tmp_path: Path) -> None:
    async with listening() as upstream:
        farm = _Farm(tmp_path, upstream, serve={"processes": 2})
        async with command(*farm.arguments) as first:
            await _up(first)
            pair = await farm.connect()
            farm.settings.file.write_text(
                farm.settings.file.read_text().replace('"serve": {"processes": 2}', '"serve": {"processes": 1}')
            )
            async with command(*farm.arguments, "--take-over") as second:
                await second.logged("took over 1 connections")
                # Nobody serves for a moment: who asks waits.
                assert await farm.answers() == b"HTTP/1.1 200 OK"
                assert await first.ended() == 0
                await second.logged("answering on")
                await _talks(pair)
                second.send(signal.SIGTERM)
                assert await second.ended() == 0
            pair.close()
        assert not list(farm.settings.state_dir.glob("*.sock"))


async def test_a_gateway_whose_successor_fails_goes_on(tmp_path: Path) -> None:
    async with listening() as upstream:
        farm = _Farm(tmp_path, upstream)
        async with command(*farm.arguments) as first:
            await _up(first)
            pair = await farm.connect()
            tap = await first.pid_of("tap")
            # Its tap finds nobody to take over from.
            handover = farm.settings.state_dir / "handover-0.sock"
            aside = handover.rename(handover.with_suffix(".aside"))
            code, _, said = await finished(*farm.arguments, "--take-over")
            aside.rename(handover)
            assert code == 1
            assert said.splitlines()[-1] == (
                "nativelink-gateway run: --take-over: the tap did not take over, for the reason above: the running gateway goes on"
            )
            assert f"nobody hands over at {handover}" in said
            await first.logged("not handed over, going on: the other process is gone")
            await _talks(pair)
            assert await farm.answers() == b"HTTP/1.1 200 OK"
            assert is_alive(tap)
            async with command(*farm.arguments, "--take-over") as second:
                assert await first.ended() == 0
                await _up(second)
                await _talks(pair)
            pair.close()


@contextmanager
def _asking(farm: _Farm, **other: object) -> Iterator[Channel]:
    """Has said what a supervisor says first."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(farm.settings.state_dir / "supervisor.sock"))
        talk = Channel(sock)
        talk.within(PATIENCE_S)
        talk.send(Kind.HELLO, json.dumps({**hello(load_config(farm.settings.file)), **other}).encode())
        yield talk


async def test_a_tap_that_ends_while_a_successor_asks_is_started_again_when_that_one_gives_up(tmp_path: Path) -> None:
    async with listening() as upstream:
        farm = _Farm(tmp_path, upstream)
        async with command(*farm.arguments) as first:
            await _up(first)
            tap = await first.pid_of("tap")
            with _asking(farm) as talk:
                _, names = talk.receive(Kind.HELLO)
                for each in talk.receive_descriptors(len(json.loads(names))):
                    os.close(each)
                os.kill(tap, signal.SIGKILL)
                await first.logged(rf"role tap \(pid {tap}\) was ended by SIGKILL\"")
            await first.pid_of("tap", life=2)
            await first.logged("not handed over, going on: the other process is gone")


async def test_what_a_restart_is_needed_for_is_refused(tmp_path: Path) -> None:
    others: dict[str, object] = {
        "protocol": 99,
        "gateway.taps": [],
        "gateway.tap.processes": 7,
        "servers[].listener.http.socket_address (or --http)": "127.0.0.1:1",
    }
    async with listening() as upstream:
        farm = _Farm(tmp_path, upstream)
        async with command(*farm.arguments) as gateway:
            await _up(gateway)
            for key, value in others.items():
                with _asking(farm, **{key: value}) as talk:
                    told = re.escape(f"{key} is not what it was: stop the gateway (pid {os.getpid()} asked), then start the other")
                    await gateway.logged(f"not handed over, going on: {told}")
                    with pytest.raises(RefusedError, match=told):
                        talk.receive(Kind.HELLO)


async def test_where_no_gateway_runs_there_is_nothing_to_take_over(tmp_path: Path) -> None:
    code, _, said = await finished("run", f"--config={Settings(tmp_path).file}", "--take-over")
    assert code == 1
    assert said.startswith("nativelink-gateway run: --take-over: nobody hands over at ")
