from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

from gateway.alive import main
from gateway.config.types import Address, Authentication, Config
from tests.certificates import Authority
from tests.command import free_ports
from tests.serve.running import serving


def config(directory: Path) -> Config:
    http = Address("127.0.0.1", 0)
    return Config(http, "S", (), None, directory, authentication=Authentication.REQUIRED)


async def test_a_gateway_that_answers_is_alive_whether_or_not_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    encrypted = replace(config(tmp_path), http_tls=authority.issue("server", "gateway.example.org").listener())
    for each in (config(tmp_path), encrypted):
        async with serving(each, ready=False, tls=ssl.create_default_context()) as client:
            assert await asyncio.to_thread(main, [str(client.port)]) == 0


async def test_nobody_there_and_what_is_no_gateway_is_not() -> None:
    (port,) = free_ports(1)
    assert await asyncio.to_thread(main, [str(port)]) == 1

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        assert await asyncio.to_thread(main, [str(server.sockets[0].getsockname()[1])]) == 1
