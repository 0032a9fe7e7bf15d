"""CI installs the programs of other packages that tests ask for, on a machine that has them not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASKED = re.compile(r'\bprogram\("([\w-]+)", "([\w-]+)"\)')
INSTALLED = re.compile(r"\bcommand -v ([\w-]+) >/dev/null \|\| packages\+=\(([\w-]+)\)$", re.MULTILINE)


def test_ci_installs_every_program_that_a_test_asks_for() -> None:
    tests = [file.read_text() for file in (ROOT / "tests").rglob("*.py")]
    asked = {(name, package) for text in tests for name, package in ASKED.findall(text)}
    installed = {package: name for name, package in INSTALLED.findall((ROOT / ".ci" / "run").read_text())}
    assert {name for name, _ in asked} >= {"kubectl", "promtool", "strace", "systemd-analyze"}
    # A package may bring several programs: CI looks for one of them.
    for package in {package for _, package in asked}:
        assert (installed.get(package), package) in asked
