from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config.load import load_config
from gateway.errors import StartError
from gateway.listeners import listening
from tests.command import Settings, command, connects
from tests.systemd import activating
from tests.test_supervisor import livez


async def test_the_gateway_answers_on_what_systemd_opened_also_after_a_role_was_killed(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    opened = [f"4:{port}" for port in (settings.http, settings.workers, settings.execution)]
    # The ports are taken: by itself it could have none of them.
    program = activating(opened, "http:tap-workers:tap-execution", "-m", "gateway.cli")
    async with command("run", "--config", str(settings.file), program=program) as gateway:
        await gateway.pid_of("serve")
        assert await livez(settings.http) == b"HTTP/1.1 200 OK"
        await gateway.logged(f"tap execution forwards 127.0.0.1:{settings.execution}")
        await gateway.logged(f"tap workers forwards 127.0.0.1:{settings.workers}")
        os.kill(await gateway.pid_of("tap"), signal.SIGKILL)
        assert await connects(settings.execution)
        await gateway.logged("tap workers forwards", count=2)
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0


async def test_another_takes_over_what_systemd_opened(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    opened = [f"4:{port}" for port in (settings.http, settings.workers, settings.execution)]
    program = activating(opened, "http:tap-workers:tap-execution", "-m", "gateway.cli")
    async with command("run", "--config", str(settings.file), program=program) as first:
        await first.logged("answering on")
        await first.logged("tap workers forwards")
        # As a reload does it: without the variables that the first one had.
        async with command("run", "--take-over", "--config", str(settings.file)) as second:
            assert await first.ended() == 0
            await second.logged(f"tap workers forwards 127.0.0.1:{settings.workers}")
            assert await livez(settings.http) == b"HTTP/1.1 200 OK"
            second.send(signal.SIGTERM)
            assert await second.ended() == 0


async def test_what_systemd_did_not_open_the_gateway_opens_itself(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    program = activating([f"4:{settings.execution}"], "tap-execution", "-m", "gateway.cli")
    async with command("run", "--config", str(settings.file), program=program) as gateway:
        await gateway.logged("tap workers forwards")
        assert await livez(settings.http) == b"HTTP/1.1 200 OK"
        assert await connects(settings.workers)
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0


def refused(directory: Path, activated: Mapping[str, socket.socket], **settings: object) -> str:
    config = load_config(Settings(directory, **settings).file, environment={})
    names = ["tap"] * config.record_link.local * config.tap.processes
    with pytest.raises(StartError) as raised, listening(config, names, activated):
        pytest.fail("listens")
    assert all(sock.fileno() == -1 for sock in activated.values())
    return str(raised.value)


def opened(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_a_socket_of_a_name_or_an_address_that_the_configuration_does_not_have_is_told(tmp_path: Path) -> None:
    known = "http, tap-execution, tap-workers"
    assert refused(tmp_path, {"tap-admin": opened()}) == (
        f"FileDescriptorName=tap-admin: one of {known}, as the configuration has them"
    )
    other = opened()
    found = f"127.0.0.1:{other.getsockname()[1]}"
    text = refused(tmp_path, {"tap-workers": other})
    assert text.startswith("gateway.taps[workers].listen: 127.0.0.1:")
    assert text.endswith(f": FileDescriptorName=tap-workers listens on {found}: say the same in both")
    assert refused(tmp_path, {"http": opened()}).startswith("servers[].listener.http.socket_address (or --http): 127.0.0.1:")


def test_sockets_of_taps_are_for_one_process_of_this_machine(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tap={"processes": 2})
    config = load_config(settings.file, environment={})
    activated = {"tap-workers": opened(settings.workers)}
    with (
        pytest.raises(StartError, match="2: only one process"),
        listening(config, ["a", "b"], activated),
    ):
        pytest.fail("listens")
    activated = {"tap-workers": opened(settings.workers)}
    with pytest.raises(StartError, match="tap-workers: one of http, as"), listening(config, [], activated):
        pytest.fail("listens")
    assert activated["tap-workers"].fileno() == -1
