"""What a process costs, and what befalls its files: process ids and directories in, numbers out."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path


def resident_kib(pid: int) -> int:
    """Resident memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def descriptors(pid: int) -> int:
    """Open files, sockets included."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@contextlib.contextmanager
def full_disk(pids: Iterable[int]) -> Iterator[None]:
    """These processes, and those that they start, can write nothing to any file, which fails as it does on a full disk."""
    hard = resource.RLIM_INFINITY
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard)) for pid in pids}
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[bool]:
    """Nothing can be made, changed or removed in the directory; what is open stays open. False: this user may not arrange that."""
    mounted = _mount("--bind", str(directory), str(directory))
    try:
        # Another mount than the one through which files are open for writing, so that nothing is in its way.
        yield mounted and _mount("-o", "remount,bind,ro", str(directory))
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(directory)], check=True)  # noqa: S603, S607


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0  # noqa: S603, S607
    except FileNotFoundError:
        return False
