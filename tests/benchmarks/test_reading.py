"""Every part of `scripts/bench reading` in its tiniest form: it measures, prints and judges; what it judges here means nothing."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.reading import PARTS
from benchmarks.reading_state import operation, worker
from benchmarks.verdicts import Verdicts, in_turn
from gateway.serve.rows import operation_row, worker_row

_TINY = argparse.Namespace(rounds=1, seconds=1, operations=200, workers=20, rate=100)
_NEEDS_PEERS = {"list", "small", "known", "workers", "page"}
#: CI has them.
_HAS_PEERS = bool(
    os.environ.get("NATIVELINK_GATEWAY_CI") or (shutil.which("wrk") and shutil.which("nginx", path="/usr/sbin:/usr/bin"))
)
#: Parts whose peers are asked for seconds each, or that take seconds of traffic.
_LONG = {"list", "small", "page", "workers", "visible"}


def _parts() -> list[object]:
    """As far as this machine has the peers; scripts/bench installs them."""
    lacks = pytest.mark.skipif(not _HAS_PEERS, reason="nginx and wrk are not installed")
    marks = {name: [*([lacks] if name in _NEEDS_PEERS else []), *([pytest.mark.long] if name in _LONG else [])] for name in PARTS}
    return [pytest.param(name, marks=found) for name, found in marks.items()]


@pytest.fixture
def readable() -> Iterator[Path]:
    """Not tmp_path: nginx's worker may be a user who cannot read what is in there."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.mark.parametrize("name", _parts())
def test_a_part_measures_and_judges(
    name: str, readable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/sbin", prepend=os.pathsep)
    with ExitStack() as stack:
        PARTS[name](stack, readable, _TINY, Verdicts())
    assert capsys.readouterr().out.count("; floor ") >= 1


def test_what_the_implementer_shows_is_as_long_as_what_real_fleets_have() -> None:
    assert 420 <= len(operation_row(operation(99_999)).json) <= 450
    assert 425 <= len(worker_row(worker(9_999)).json) <= 455


def test_another_version_of_an_operation_is_another_row() -> None:
    assert operation_row(operation(5, 1)) != operation_row(operation(5))


def test_peers_take_turns_and_the_order_turns_round() -> None:
    asked: list[str] = []

    def measure(name: str) -> float:
        asked.append(name)
        return len(asked)

    assert in_turn(["a", "b"], 3, measure) == {"a": [1, 4, 5], "b": [2, 3, 6]}
    assert asked == ["a", "b", "b", "a", "a", "b"]
