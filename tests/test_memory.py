from __future__ import annotations

import subprocess
import sys

_BULK = """
import resource, sys
from gateway.cli.memory import collect_rarely, keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def chunk():
    held = bytearray(250_000), bytearray(250_000), bytearray(250_000), bytearray(250_000)
for _ in range(20):
    chunk()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    chunk()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", _BULK, how], text=True))  # noqa: S603 - the program above


def test_memory_of_bulk_is_kept_for_the_next_chunk() -> None:
    assert _faults("kept") < 200 < _faults("given back")
