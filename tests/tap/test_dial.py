from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.config.types import Address
from gateway.tap.dial import DialError, dial
from tests.tap.running import free_port, listening


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_literal_and_a_name_are_dialled(host: str) -> None:
    async with listening() as upstream:
        with await dial(Address(host, upstream.getsockname()[1]), 5) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_refused_is_said_in_the_systems_words() -> None:
    port = free_port()
    with pytest.raises(DialError, match=f"127.0.0.1:{port}: Connection refused"):
        await dial(Address("127.0.0.1", port), 5)


async def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(DialError, match=r"no-such-host\.invalid"):
        await dial(Address("no-such-host.invalid", 1), 5)


async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as upstream:
        port = upstream.getsockname()[1]
        refused = free_port()

        async def several(*_: Any, **__: Any) -> list[Any]:
            await asyncio.sleep(0)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in (refused, port)]

        class _Loop:
            """The running loop with another resolver."""

            def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
                self._loop = loop
                self.getaddrinfo = several

            def __getattr__(self, name: str) -> Any:
                return getattr(self._loop, name)

        loop = _Loop(asyncio.get_running_loop())
        monkeypatch.setattr("gateway.tap.dial.asyncio.get_running_loop", lambda: loop)
        (await dial(Address("name", port), 5)).close()
