"""A benchmark of several parts: options and parts in; those that are asked for are measured and judged; an exit code out."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.verdicts import Verdicts

#: Is given what ends with it, a directory that does too, the options, and where to judge.
Part = Callable[[ExitStack, Path, argparse.Namespace, Verdicts], None]


def judged(parser: argparse.ArgumentParser, parts: Mapping[str, Part]) -> int:
    """Asks the command line which parts, none meaning all; 1 where a floor was missed."""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; none: all")
    parser.add_argument("--rounds", type=int, default=11)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    verdicts = Verdicts()
    for name in chosen.parts or parts:
        print(f"== {name}", flush=True)
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            parts[name](stack, directory, chosen, verdicts)
    return verdicts.told()
