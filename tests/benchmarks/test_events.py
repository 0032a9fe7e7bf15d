"""`scripts/bench events` in its tiniest form: it measures, prints and judges; what it judges here means nothing."""

import sys

import pytest

from benchmarks import events


def test_it_measures_and_judges(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--clients", "5", "--rate", "50", "--seconds", "1"])
    events.main()
    assert "gateway: " in (said := capsys.readouterr().out)
    assert "5 of 5 clients got everything" in said
