"""docs/command-line.md has every command and every exit code that --help has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.cli.arguments import parse
from gateway.client.address import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE

TEXT = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def helped(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parse([*arguments, "--help"])
    return capsys.readouterr().out


def test_every_command_is_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    told = {word for cell in re.findall(r"^\| (`.*?`) \| ", TEXT, re.MULTILINE) for word in re.findall(r"`([\w-]+)`", cell)}
    assert told == set(re.findall(r"^    ([a-z-]+)\s{2,}", helped(capsys=capsys), re.MULTILINE))


def test_every_exit_code_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    codes = set(re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE))
    help_ = helped("status", capsys=capsys)
    assert codes == set(re.findall(r"(?<![\w.])(\d+)(?= [a-zA-Z])", help_.partition("exit codes:")[2]))
    own = helped(capsys=capsys).partition("exit codes:")[2]
    assert all(f"{code} " in TEXT for code in re.findall(r"(?<![\w.])(\d+)(?= [a-z])", own))


def test_the_environment_is_told_of() -> None:
    assert all(each in TEXT for each in (DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE))
