"""nginx in front, as docs/security.md says, and as it is when nobody says anything."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.types import Address, Authentication, Config
from tests.certificates import Authority
from tests.command import free_ports
from tests.deploy.programs import program
from tests.docs.blocks import blocks
from tests.serve.authentication.showing import new_token, shown
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Client, eventually, serving
from tests.serve.test_routes import fill

(RECOMMENDED,) = (block.text for block in blocks("nginx") if block.file == "docs/security.md")
AROUND = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{server}
}}
"""
STOCK = "server {{ listen 127.0.0.1:{port}; location / {{ {more} proxy_pass http://127.0.0.1:{upstream}; }} }}"
STRANGER = "Host: gateway.example.org"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Config]:
    """Of a gateway whose upstream is there."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    (port,) = free_ports(1)
    config = Config(Address("127.0.0.1", port), "MAIN_SCHEDULER", (), None, directory)
    implementer = Implementer(f"unix:{config.introspection_socket}")
    fill(implementer)
    await implementer.start()
    yield config
    await implementer.stop()


@contextmanager
def nginx(directory: Path, server: str) -> Iterator[None]:
    """With one server."""
    path = program("nginx", "nginx")
    directory.mkdir()
    directory.chmod(0o755)
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    file = directory / "nginx.conf"
    file.write_text(AROUND.format(directory=directory, user=user, server=server))
    process = subprocess.Popen([path, "-p", directory, "-e", directory / "error.log", "-c", file])  # noqa: S603
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@asynccontextmanager
async def asking(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A client of nginx, once it is there."""
    client = Client(port, tls=tls)

    async def is_there() -> bool:
        try:
            return await client.status("/livez") == 200
        except OSError:
            return False

    await eventually(is_there)
    yield client


def version() -> tuple[int, ...]:
    """Of the nginx that is here."""
    said = subprocess.run([program("nginx", "nginx"), "-v"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    return tuple(map(int, said.rpartition("/")[2].split()[0].split(".")))


async def read_by_a_stranger(client: Client) -> int:
    answer = await client.exchange(f"GET /api/v1/workers HTTP/1.1\r\n{STRANGER}\r\nConnection: close\r\n\r\n".encode())
    return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    ("more", "authentication", "status"),
    [
        # What nginx speaks to upstreams unless told otherwise, until 1.29.7.
        ("proxy_http_version 1.0;", Authentication.AUTO, 401),
        # And since then: a proxy that says nothing is a program of this machine, and everybody reads.
        ("proxy_http_version 1.1;", Authentication.AUTO, 200),
        ("proxy_http_version 1.1; proxy_set_header Host $host;", Authentication.AUTO, 401),
        ("proxy_http_version 1.1; proxy_set_header X-Real-IP $remote_addr;", Authentication.AUTO, 401),
        ("proxy_http_version 1.1;", Authentication.REQUIRED, 401),
    ],
)
async def test_what_a_stranger_reads_through_an_nginx_that_says_little(
    gateway: Config, tmp_path: Path, more: str, authentication: Authentication, status: int
) -> None:
    (port,) = free_ports(1)
    server = STOCK.format(port=port, more=more, upstream=gateway.http.port)
    async with serving(replace(gateway, authentication=authentication)):
        with nginx(tmp_path / "nginx", server):
            async with asking(port) as client:
                assert await read_by_a_stranger(client) == status


async def test_without_a_word_about_the_version_it_is_one_of_both(gateway: Config, tmp_path: Path) -> None:
    """Whichever nginx is installed here."""
    (port,) = free_ports(1)
    async with serving(gateway):
        with nginx(tmp_path / "nginx", STOCK.format(port=port, more="", upstream=gateway.http.port)):
            async with asking(port) as client:
                assert await read_by_a_stranger(client) == (401 if version() < (1, 29, 7) else 200)


@pytest.mark.parametrize("authentication", [Authentication.REQUIRED, Authentication.AUTO])
async def test_behind_the_recommended_one_everybody_needs_a_token(
    gateway: Config, tmp_path: Path, authentication: Authentication
) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("nginx", "gateway.example.org", "127.0.0.1")
    (port,) = free_ports(1)
    server = (
        RECOMMENDED.replace("443", f"127.0.0.1:{port}")
        .replace("/etc/nginx/tls/gateway.pem", str(identity.cert_file))
        .replace("/etc/nginx/tls/gateway.key", str(identity.key_file))
        .replace("127.0.0.1:50062", str(gateway.http))
    )
    assert "50062" not in server
    token = new_token(gateway)
    async with serving(replace(gateway, authentication=authentication)):
        with nginx(tmp_path / "nginx", server):
            async with asking(port, ssl.create_default_context(cafile=authority.file)) as client:
                assert await read_by_a_stranger(client) == 401
                assert await client.status("/api/v1/workers") == 401
                assert await client.status("/api/v1/workers", headers=shown(token)) == 200
                assert await client.status("/api/v1/nothing", headers=shown(token)) == 404
                await events_come_at_once(client, token)


async def events_come_at_once(client: Client, token: str) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port, ssl=client.tls)
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{shown(token)}\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        await reader.readuntil(b"event: snapshot\n")
    writer.transport.abort()
