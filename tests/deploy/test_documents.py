"""What README and CONTRIBUTING tell people to type is what there is, and what CI runs."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import json5
import pytest

from gateway.cli.arguments import parse
from gateway.config.load import load_config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines()]


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


def test_the_readmes_command_lines_parse() -> None:
    lines = [line for line in commands() if line.startswith("nativelink-gateway ")]
    assert lines
    for line in lines:
        assert parse(shlex.split(line)[1:]).command


def test_the_readmes_example_of_tls_is_a_configuration_with_certificates_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "gateway.json5").write_text(blocks("json5")[1])
    (tap,) = load_config(tmp_path / "gateway.json5", environment={"HOME": "/home/somebody"}).taps
    assert tap.tls is not None
    assert tap.upstream_tls is not None
    assert tap.tls.client_ca_file is not None
    assert tap.upstream_tls.cert_file is not None


def test_the_readmes_configuration_is_the_default(tmp_path: Path) -> None:
    block = blocks("json5")[0]
    file = tmp_path / "gateway.json5"
    file.write_text(block)
    environment = {"HOME": "/home/somebody"}
    assert load_config(file, environment=environment) == load_config(environment=environment)
    assert set(json5.loads(block)["gateway"]) == {
        *(
            "taps",
            "cas",
            "scheduler",
            "retention",
            "tap",
            "record_link",
            "observe",
            "serve",
            "introspection",
            "instances",
            "authentication",
            "state_dir",
            "stop_timeout_s",
        )
    }


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
