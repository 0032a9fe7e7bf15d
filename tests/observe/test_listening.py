"""Where the introspection service listens: closed to others, and clear about what is in the way."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from gateway.config.trust import ListenerTls
from gateway.config.types import Address, Introspection
from gateway.errors import StartError
from gateway.observe import listening, role
from tests.certificates import Authority
from tests.observe.records import config
from tests.observe.test_role import observing, scheduler


def certificates(directory: Path) -> ListenerTls:
    authority = Authority(directory)
    return authority.issue("observe").listener(authority.file)


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
    settings = config(tmp_path / "state", introspection=Introspection(Address("127.0.0.1", port), certificates(tmp_path)))
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
async def test_an_address_for_other_machines_is_listened_on_besides(tmp_path: Path, host: str, shown: str) -> None:
    server = listening.create_server()
    settings = config(tmp_path / "state", introspection=Introspection(Address(host, 0), certificates(tmp_path)))
    socket, address = listening.listen(server, settings)
    assert socket == f"unix:{settings.introspection_socket}"
    assert address.startswith(shown)
    assert int(address.removeprefix(shown)) > 0
    await server.stop(None)


async def test_a_certificate_that_is_not_there_names_setting_and_file(tmp_path: Path) -> None:
    tls = certificates(tmp_path)
    tls.key_file.unlink()
    settings = config(tmp_path / "state", introspection=Introspection(Address("127.0.0.1", 0), tls))
    with pytest.raises(StartError, match=rf"gateway\.introspection\.tls\.key_file: {tls.key_file}: No such file"):
        await role.run(settings, asyncio.Event())
