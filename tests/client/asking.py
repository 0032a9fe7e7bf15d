"""The command line in this process: arguments come in; exit code, stdout and stderr go out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from gateway.cli import main


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


class Asking:
    """Runs commands beside the loop that the asked server runs in."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> Told:
        code = await asyncio.to_thread(main, arguments)
        return Told(code, *self._capsys.readouterr())
