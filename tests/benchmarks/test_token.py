"""`scripts/bench token` in its tiniest form: it measures, prints and judges; what it judges here means nothing."""

import sys

import pytest

from benchmarks import token


async def test_it_measures_and_judges(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--rounds", "1", "--checks", "10"])
    await token.main()
    assert capsys.readouterr().out.count("microseconds a check: median ") == 3
