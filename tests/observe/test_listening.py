"""Where the introspection service listens: closed to others, and clear about what is in the way."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import grpc
import pytest

from gateway.config.types import Address, Introspection
from gateway.errors import StartError
from gateway.observe import listening, role
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from tests.observe.records import config
from tests.observe.test_role import observing, scheduler


async def test_nobody_else_may_use_the_socket(tmp_path: Path) -> None:
    settings = config(tmp_path / "state")
    async with observing(settings) as stub:
        await scheduler(stub)
        assert stat.S_IMODE(settings.introspection_socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(settings.state_dir.stat().st_mode) == 0o700


async def test_a_second_observe_names_what_is_in_its_way(tmp_path: Path) -> None:
    settings = config(tmp_path)
    async with observing(settings) as stub:
        await scheduler(stub)
        with pytest.raises(StartError, match="another observe answers at"):
            await role.run(settings, asyncio.Event())


async def test_a_socket_that_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    settings = config(tmp_path)
    left = await asyncio.start_unix_server(lambda *_: None, settings.introspection_socket)
    left.close()
    await left.wait_closed()
    assert settings.introspection_socket.exists()
    async with observing(settings) as stub:
        await scheduler(stub)


async def test_an_address_that_is_taken_names_the_setting(tmp_path: Path) -> None:
    other = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    settings = config(tmp_path, introspection=Introspection(listen=Address("127.0.0.1", port)))
    with pytest.raises(StartError, match=r"gateway\.introspection\.listen"):
        await role.run(settings, asyncio.Event())
    other.close()
    await other.wait_closed()


async def test_a_name_that_is_too_long_for_a_socket_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"shorter gateway\.state_dir"):
        await role.run(config(tmp_path / ("x" * 120)), asyncio.Event())


async def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"gateway\.state_dir"):
        await role.run(config(tmp_path / "file" / "state"), asyncio.Event())


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")])
async def test_an_address_of_its_own_is_listened_on(host: str, shown: str) -> None:
    server = listening.create_server()
    address = listening.listen(server, config(introspection=Introspection(listen=Address(host, 0))))
    assert address.startswith(shown)
    assert int(address.removeprefix(shown)) > 0
    await server.stop(None)


async def test_over_tcp_it_answers_as_well(tmp_path: Path) -> None:
    probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    stop = asyncio.Event()
    settings = config(tmp_path, introspection=Introspection(listen=Address("127.0.0.1", port)))
    task = asyncio.create_task(role.run(settings, stop), name="observe")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await IntrospectionStub(channel).GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
    assert answer.name == "MAIN_SCHEDULER"
    stop.set()
    await task
