import asyncio
import socket
from dataclasses import replace

import pytest

from gateway.config.types import Address, Config
from gateway.errors import StartError
from gateway.serve.role import bind, run
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Client


def test_binding_listens_at_once_so_that_early_clients_wait(config: Config) -> None:
    with bind(config) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass


def test_a_port_in_use_is_named_with_its_setting(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"socket_address \(or --http\): cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            bind(replace(config, http=Address("127.0.0.1", port)))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_this_machine_does_not_have_is_named_with_its_setting(config: Config, host: str) -> None:
    with pytest.raises(StartError, match=rf"socket_address \(or --http\): cannot listen on {host}:0"):
        bind(replace(config, http=Address(host, 0)))


def test_a_name_is_an_address_too(config: Config) -> None:
    with bind(replace(config, http=Address("localhost", 0))) as listener:
        assert listener.getsockname()[0] in {"127.0.0.1", "::1"}


def test_of_a_names_addresses_the_first_that_this_machine_has_is_taken(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.2", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with bind(config) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


async def test_without_a_socket_the_role_binds_its_own(config: Config, implementer: Implementer) -> None:
    with bind(config) as reserved:
        port = reserved.getsockname()[1]
    stop = asyncio.Event()
    await implementer.start()
    role = asyncio.create_task(run(replace(config, http=Address("127.0.0.1", port)), None, stop), name="role")
    client = Client(port)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await client.get("/livez")
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
    await client.until("/api/v1/workers", lambda answer: answer.status == 200)
    stop.set()
    await role
    with pytest.raises(ConnectionRefusedError):
        await client.get("/livez")


async def test_a_port_in_use_ends_the_role(config: Config) -> None:
    with bind(config) as taken:
        http = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(StartError):
            await run(replace(config, http=http), None, asyncio.Event())


async def test_stopping_does_not_wait_for_connections_that_idle_or_read_nothing(config: Config, implementer: Implementer) -> None:
    config = replace(config, stop_timeout_s=0.4)
    listener = bind(config)
    port = listener.getsockname()[1]
    stop = asyncio.Event()
    await implementer.start()
    role = asyncio.create_task(run(config, listener, stop), name="role")
    await Client(port).until("/readyz", lambda answer: answer.status == 200)
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"GET /livez HTTP/1.1\r\n")
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await role


async def test_stopping_before_upstream_was_ever_there_is_stopping(config: Config) -> None:
    listener = bind(config)
    stop = asyncio.Event()
    role = asyncio.create_task(run(config, listener, stop), name="role")
    await Client(listener.getsockname()[1]).until("/livez", lambda answer: answer.status == 200)
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        await role
