"""`scripts/bench slow` in its tiniest form: it measures, prints and judges; what it judges here means nothing."""

import os
import shutil
import sys

import pytest

from benchmarks import http_peers, slow

#: CI has them.
_HAS_PEERS = bool(
    os.environ.get("NATIVELINK_GATEWAY_CI") or (shutil.which("wrk") and shutil.which("nginx", path="/usr/sbin:/usr/bin"))
)
_TINY = ["bench", "--clients", "9", "--rounds", "1", "--seconds", "1"]


@pytest.mark.long
@pytest.mark.skipif(not _HAS_PEERS, reason="nginx and wrk are not installed")
def test_it_measures_and_judges(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/usr/sbin", prepend=os.pathsep)
    monkeypatch.setattr(sys, "argv", _TINY)
    slow.main()
    said = capsys.readouterr().out
    assert said.count("with / without slow clients: median ") == 12
    assert said.count("; floor ") == 6
    assert "serve, memory: " in said


@pytest.mark.parametrize(("said", "ms"), [("850.00us", 0.85), ("12.34ms", 12.34), ("1.50s", 1_500.0), ("1.02m", 61_200.0)])
def test_a_latency_of_wrk_is_read_in_each_of_its_units(said: str, ms: float) -> None:
    assert http_peers.milliseconds(said) == pytest.approx(ms)


def test_slow_clients_that_are_turned_away_end_it() -> None:
    with pytest.raises(SystemExit, match="serve: not as it should be, of slow clients: 408 2 times, 429 1 times"):
        slow.check("serve", {"408": 2, "429": 1})
