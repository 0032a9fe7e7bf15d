"""A terminal of a size, and the command line in it: keys and signals go in, what is on the screen comes out."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.command import PATIENCE_S

#: What begins and ends a screen of its own (xterm's control sequences).
BEGINS, ENDS = "\x1b[?1049h", "\x1b[?1049l"
_HOME = "\x1b[H"
#: In a session whose terminal this is: Ctrl-C becomes its signal, another size too.
_PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from gateway.cli import main
raise SystemExit(main())
"""


class Terminal:
    """Everything that was written to it so far is `text`."""

    def __init__(self, descriptor: int, process: Process) -> None:
        self._descriptor = descriptor
        self._process = process
        self._came = asyncio.Event()
        self.text = ""

    @property
    def screen(self) -> str:
        """The last picture that is complete, without colours; or all lines, where there is no screen of its own."""
        pictures = self.text.split(_HOME)
        return re.sub(r"\x1b\[[0-9;]*m", "", pictures[-2] if len(pictures) > 2 else pictures[-1])

    def read(self) -> None:
        """Called when there is something."""
        try:
            self.text += os.read(self._descriptor, 1 << 16).decode(errors="replace")
        except OSError:
            # The last process that had it open has gone.
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._came.set()

    async def until(self, holds: Callable[[str], bool]) -> str:
        """The first screen of which it holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self.screen):
                self._came.clear()
                await self._came.wait()
        return self.screen

    def press(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def resize(self, rows: int, columns: int) -> None:
        _resize(self._descriptor, rows, columns)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def modes(self) -> list[object]:
        """How it treats what is typed."""
        return termios.tcgetattr(self._descriptor)[:4]

    async def ended(self) -> int:
        """The exit code."""
        async with asyncio.timeout(PATIENCE_S):
            code = await self._process.wait()
        await asyncio.sleep(0)
        return code


@asynccontextmanager
async def terminal(*arguments: str, rows: int = 24, columns: int = 80, **environment: str) -> AsyncIterator[Terminal]:
    """Run the command line there; what is left of it is killed in the end."""
    ours, theirs = pty.openpty()
    _resize(ours, rows, columns)
    clean = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}}
    process = await create_subprocess_exec(
        *(sys.executable, "-P", "-c", _PROGRAM, *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**clean, "TERM": "xterm-256color", **environment},
    )
    shown = Terminal(ours, process)
    asyncio.get_running_loop().add_reader(ours, shown.read)
    # Open until the end: what was written last could be lost with the last descriptor of that side.
    try:
        yield shown
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        os.close(theirs)
        os.close(ours)


def _resize(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
