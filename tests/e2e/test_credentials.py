"""The whole gateway with several serves, TLS and tokens, asked by the commands for people and by whoever else."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from gateway.client.address import TOKEN_VARIABLE
from tests.certificates import Authority
from tests.command import PATIENCE_S, Settings, command, finished
from tests.serve.authentication.showing import shown
from tests.serve.running import Client

#: Connections that so many serves share: each gets some.
CONNECTIONS = 24


async def statuses(client: Client, token: str) -> set[int]:
    return {await client.status("/api/v1", headers=shown(token)) for _ in range(CONNECTIONS)}


async def until(client: Client, token: str, status: int) -> None:
    """All serves answer so."""
    async with asyncio.timeout(PATIENCE_S):
        while await statuses(client, token) != {status}:
            pass


async def test_tokens_count_for_every_serve_from_the_second_on_and_commands_show_them(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("server")
    tls = {"cert_file": str(identity.cert_file), "key_file": str(identity.key_file)}
    settings = Settings(tmp_path, authentication="required", serve={"processes": 2}, http_tls=tls)
    arguments, url = ["--config", str(settings.file)], f"https://localhost:{settings.http}"
    asked = ["status", "--url", url, "--ca-file", str(authority.file)]
    async with command("run", *arguments) as running:
        await running.logged("answering on https", 2)
        client = Client(settings.http, tls=ssl.create_default_context(cafile=authority.file))
        _, first, _ = await finished("token", "show", *arguments)
        await until(client, first.strip(), 200)

        code, _, told = await finished(*asked, **{TOKEN_VARIABLE: "wrong"})
        assert (code, "token show" in told, "wrong" in told) == (4, True, False)
        code, out, _ = await finished(*asked, NATIVELINK_GATEWAY_TOKEN=first.strip())
        # However it is, it is told.
        assert (code != 4, "healthy" in out or "degraded" in out) == (True, True)

        code, made, _ = await finished("token", "new", "--role", "reader", "--name", "grafana", *arguments)
        assert code == 0
        await until(client, made.strip(), 200)
        await finished("token", "revoke", made.split("_")[1], *arguments)
        await until(client, made.strip(), 401)
        assert await statuses(client, first.strip()) == {200}

        log = "".join(running.log)
        assert not any(secret.strip()[-64:] in log for secret in (first, made))
    assert not any(first.strip()[-64:] in path.read_text() for path in settings.state_dir.glob("*.json"))
