"""What README and CONTRIBUTING tell people to type is what there is, and what CI runs."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from gateway.cli.arguments import parse
from tests.docs.blocks import blocks

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir())


def commands() -> list[str]:
    return [line for block in blocks("bash") if block.file == "README.md" for line in block.text.splitlines()]


def test_ci_runs_exactly_the_readmes_scripts() -> None:
    told = {line for line in commands() if line.startswith("scripts/")}
    run = {line.removesuffix(" &") for line in CI.splitlines() if line.startswith("scripts/")}
    assert told == run


def test_ci_asks_the_readmes_curl_lines_which_have_those_of_the_documentation() -> None:
    asked = [line for line in commands() if line.startswith("curl ")]
    assert "grep -E '^curl ' README.md" in CI
    assert asked == [line for line in README.splitlines() if line.startswith("curl ")]
    assert {
        "curl http://localhost:50062/api/v1/workers",
        'curl "http://localhost:50062/api/v1/operations?worker_id=worker-123"',
        "curl http://localhost:50062/api/v1/scheduler/status",
        'curl "http://localhost:50062/api/v1/operations?stage=queued"',
    } <= set(asked)


def test_ci_asks_the_demo_with_the_readmes_commands_for_people() -> None:
    pattern = "^nativelink-gateway (status|workers|operations)"
    assert f"grep -E '{pattern}' README.md" in CI
    asked = [line for line in commands() if re.match(pattern, line)]
    assert {parse(shlex.split(line)[1:]).command for line in asked} == {"status", "workers", "operations"}


def test_every_script_is_told_of_and_may_be_run() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for name in SCRIPTS:
        if name == "environment":
            continue
        assert os.access(ROOT / "scripts" / name, os.X_OK)
        assert f"`scripts/{name}`" in contributing


@pytest.mark.parametrize("script", [*(f"scripts/{name}" for name in SCRIPTS), ".ci/run"])
def test_every_script_is_bash_that_parses(script: str) -> None:
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)  # noqa: S603, S607 # bash of the PATH, as the script's own first line


def test_ci_stops_at_the_first_failure_and_reads_no_stdin() -> None:
    assert CI.splitlines()[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in CI
    assert "exec </dev/null" in CI
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", each) for each in headings[1:])
