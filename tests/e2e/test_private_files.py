"""Every file that the gateway writes is for its user only, whatever the shell that started it would let others read."""

from __future__ import annotations

import asyncio
import signal
import stat
from pathlib import Path

import aiohttp

from tests.command import PATIENCE_S, Settings, command, finished

_OPEN_TO_ALL = "import os, sys; os.umask(0); os.execv(sys.executable, [sys.executable, '-P', '-m', 'gateway.cli', *sys.argv[1:]])"


def modes(directory: Path) -> dict[str, int]:
    """Path below a directory -> mode, of everything that is there."""
    return {str(each.relative_to(directory)): stat.S_IMODE(each.lstat().st_mode) for each in directory.rglob("*")}


async def there(*files: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not all(each.exists() for each in files):  # noqa: ASYNC110 # another process makes them
            await asyncio.sleep(0.02)


async def drained(port: int, token: str) -> None:
    """Nobody is there to be drained, and that it was asked for is written down."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(PATIENCE_S):
        while True:
            async with session.post(f"http://127.0.0.1:{port}/api/v1/drain", json={"id_prefix": "w"}) as answer:
                if answer.status not in {401, 503}:
                    return


async def test_every_file_of_a_gateway_that_runs_is_its_users_alone(tmp_path: Path) -> None:
    settings = Settings(tmp_path, observe={"checkpoint_interval_s": 0.1}, authentication="required", serve={"processes": 2})
    state, recordings = settings.state_dir, tmp_path / "recordings"
    recordings.mkdir()
    run = ("run", f"--config={settings.file}", f"--record={recordings / 'night'}")
    become = ("-c", _OPEN_TO_ALL)
    async with command(*run, program=become) as first:
        await first.logged("answering on")
        written = ("first-token", "observe.checkpoint", "handover-0.sock", "supervisor.sock")
        await there(*(state / name for name in written), recordings / "night")
        code, token, said = await finished("token", "new", "--role=operator", "--name=me", f"--config={settings.file}")
        assert code == 0, said
        await drained(settings.http, token.strip())
        await there(state / "audit.log")
        found = modes(state) | modes(recordings)
        async with command(*run[:2], "--take-over", program=become) as second:
            await second.logged("answering on")
            assert await first.ended() == 0
            found |= modes(state)
            second.send(signal.SIGTERM)
            assert await second.ended() == 0
    found |= modes(state)
    assert {"running.json", "tokens.json", "introspection.sock", "tap-0.sock", "serve-0.sock", "lock", "night"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o177} == {}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
