"""Watching: a gateway is looked at from a thread, and what it shows is drawn on the terminal until somebody has seen enough.

Keys and signals are waited for here, in the main thread, so that a gateway that does not answer keeps nobody from leaving.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live
from rich.text import Text

from gateway.client.arguments import parameters
from gateway.client.connection import Gateway
from gateway.client.looking import Looks, Sight
from gateway.client.overview import overview
from gateway.client.problems import MistakeError, QuestionError
from gateway.client.screen import console_on
from gateway.client.tables import operations_table
from gateway.client.times import duration

#: What is looked at where no stage is asked for: what top would show.
_STAGES = ("stage", "executing,cache_check,queued")
#: Rows that the API gives in full.
_MOST_ROWS = 1_000
#: Ages on the screen go on between two looks.
_REDRAW_S = 1.0
_LEAVE = frozenset(b"qQ\x03\x04")


def watch(gateway: Gateway, options: argparse.Namespace) -> None:
    """Until q, Ctrl-C, SIGTERM or the end of the terminal.

    Raises:
        QuestionError: stdout is no terminal, or the first look fails; later ones are tried again.
    """
    if not sys.stdout.isatty():
        raise MistakeError("watch draws on a terminal, and stdout is none: a script has `operations --json` and `events --json`")
    filters = parameters(options)
    if not any(name == "stage" for name, _ in filters):
        filters.append(_STAGES)
    looks = Looks(gateway, filters)
    console = console_on(sys.stdout)
    watching = _Watching(looks, looks.look(_rows(console.height)), options.interval)
    with _keys() as keys, _woken(watching), Live(console=console, screen=True, auto_refresh=False) as live:
        thread = threading.Thread(target=watching.keep_looking, name="look at the gateway", daemon=True)
        thread.start()
        while True:
            watching.rows = _rows(console.height)
            live.update(watching.picture(gateway.url, *console.size), refresh=True)
            ready, _, _ = select.select([*keys, watching.woken], [], [], _REDRAW_S)
            if watching.woken in ready:
                os.read(watching.woken, 64)
            if watching.defect is not None:
                raise watching.defect
            if any(_leaves(each) for each in keys if each in ready):
                return


class _Watching:
    """What both threads know. Each attribute is written by one of them, in one go."""

    def __init__(self, looks: Looks, sight: Sight, interval_s: float) -> None:
        self._looks = looks
        self._interval_s = interval_s
        self.rows = 0
        self._sight = sight
        #: Why the last look failed, and when the first of those that failed did, on the monotonic clock.
        self._problem: tuple[str, float] | None = None
        #: What ended the thread.
        self.defect: Exception | None = None
        #: Readable when there is something to draw.
        self.woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def keep_looking(self) -> None:
        """The thread."""
        try:
            while True:
                time.sleep(self._interval_s)
                self._look()
                self.wake()
        except Exception as defect:  # noqa: BLE001 # it is raised in the main thread
            self.defect = defect
            self.wake()

    def wake(self, *_: object) -> None:
        """Have it drawn again; also a handler of signals."""
        # A full pipe wakes too; a closed one has nobody left to wake.
        with contextlib.suppress(OSError):
            os.write(self._wake, b"!")

    def close(self) -> None:
        """Nobody is woken any more."""
        wake, self._wake = self._wake, -1
        os.close(wake)
        os.close(self.woken)

    def picture(self, url: str, width: int, height: int) -> Group:
        """What is on the screen now."""
        sight, problem, monotonic = self._sight, self._problem, time.monotonic()
        now = sight.now_at(monotonic)
        parts = overview(sight.health, sight.status, url)
        if problem is not None:
            why, since = problem
            old = duration(int(monotonic - since))
            parts = [Text(f"! away for {old}, what is shown was before; trying again: {why}", style="bold red"), *parts]
        # The counts have two lines; then come the line below, an empty one and the titles.
        shown = sight.operations[: max(1, height - len(parts) - 4)]
        said = Text(f"{len(shown)} of {sight.total} shown, the longest running first; q ends this", style="dim")
        return Group(*parts, said, Text(), operations_table(shown, now).table(width))

    def _look(self) -> None:
        try:
            self._sight = self._looks.look(self.rows)
            self._problem = None
        except QuestionError as error:
            self._problem = (str(error), time.monotonic() if self._problem is None else self._problem[1])


def _rows(height: int) -> int:
    return max(1, min(_MOST_ROWS, height))


def _leaves(keys: int) -> bool:
    pressed = os.read(keys, 64)
    return not pressed or not _LEAVE.isdisjoint(pressed)


@contextlib.contextmanager
def _keys() -> Iterator[list[int]]:
    """Where keys can be read one by one, if anywhere; the terminal is as it was afterwards."""
    if not sys.stdin.isatty():
        yield []
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield [descriptor]
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _woken(watching: _Watching) -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, with the terminal as it was; another size is drawn at once."""
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.default_int_handler),
        signal.SIGWINCH: signal.signal(signal.SIGWINCH, watching.wake),
    }
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        watching.close()
