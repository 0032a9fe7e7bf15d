"""Everything that documentation shows to be typed, written or sent is right, as far as the program itself can say."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.config.load import load_config
from gateway.config.reference import tables
from gateway.serve.metrics.families import FAMILIES
from tests.docs.blocks import ROOT, Block, blocks, documents, prose
from tests.docs.commands import asked, commands, problem

#: What is known to be checked below, and nginx in tests/deploy/test_nginx.py; text is what a program prints, or a picture.
LANGUAGES = {"bash", "json5", "json", "ini", "yaml", "nginx", "text"}
SHELL = blocks("bash")
#: Every key of the configuration, and every object.
KEYS = {f"{path}.{key.name}" for table in tables() for path in table.paths for key in table.keys} | {
    path for table in tables() for path in table.paths
}
#: The ends of a recorded name are those of its metric.
METRICS = {each.name for each in FAMILIES} | {f"{each.name}_{part}" for each in FAMILIES for part in ("bucket", "count", "sum")}


def test_every_block_is_in_a_language_that_somebody_checks() -> None:
    assert [(str(block), block.language) for block in blocks() if block.language not in LANGUAGES] == []
    assert SHELL


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_shells_read_it_and_every_command_is_right(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)  # noqa: S607 # bash of the PATH
    found = list(commands(block.text))
    assert found
    assert [wrong for words in found if (wrong := problem(words)) is not None] == []


@pytest.mark.parametrize("block", blocks("json5"), ids=str)
def test_the_loader_takes_every_configuration(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "gateway.json5"
    file.write_text(block.text, encoding="utf-8")
    load_config(file, environment={"HOME": "/home/somebody"})


def test_json_is_json() -> None:
    for block in blocks("json"):
        json.loads(block.text)


def test_the_readmes_answers_have_the_fields_that_are_documented() -> None:
    documented = ROOT / "tests" / "golden" / "documented"
    answers = [json.loads((documented / name).read_text(encoding="utf-8")) for name in ("status.json", "operations.json")]
    fields = [list(each[0] if isinstance(each, list) else each) for each in answers]
    told = [json.loads(block.text) for block in blocks("json") if block.file == "README.md"]
    assert [list(each[0] if isinstance(each, list) else each) for each in told] == [fields[0], fields[0], fields[1]]


def test_a_newcomer_gets_to_a_build_in_five_steps_or_fewer_each_shown() -> None:
    (section,) = re.findall(r"^## A real build, in \w+ steps$(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    steps = re.split(r"^\*\*\d+\.\*\* ", section, flags=re.MULTILINE)[1:]
    assert len(steps) <= 5
    assert all("```bash" in step for step in steps)


def test_yaml_is_yaml() -> None:
    assert all(list(yaml.safe_load_all(block.text)) for block in blocks("yaml"))


@pytest.mark.parametrize("block", blocks("ini"), ids=str)
def test_a_unit_has_keys_and_values_and_starts_what_there_is(block: Block) -> None:
    whole = block.text if re.search(r"^\[", block.text, re.MULTILINE) else f"[Service]\n{block.text}"
    unit = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes=("#", ";"))
    unit.optionxform = str  # type: ignore[assignment,method-assign] # as its documentation says
    unit.read_string(whole)
    started = [value for section in unit.sections() for key, value in unit[section].items() if key.startswith("Exec")]
    for line in started:
        words = shlex.split(line)
        words = shlex.split(words[2].rstrip(" &")) if words[:2] == ["/bin/sh", "-c"] else words
        assert problem([Path(words[0]).name, *words[1:]]) is None


@pytest.mark.parametrize(("name", "text"), list(documents()), ids=lambda each: each if len(each) < 40 else "")
def test_routes_commands_settings_metrics_and_files_that_are_named_are_there(name: str, text: str) -> None:
    """In sentences and tables; CHANGELOG is of the past."""
    words = prose(text)
    # An address in a sentence ends before what the sentence goes on with.
    for method, address in re.findall(r"(?:\b(GET|POST|HEAD) )?(/api/v1/[^\s`,;)|\"']*[\w}])", words):
        plain = address.replace("{worker_id}", "{id}").replace("{operation_id}", "{id}").replace("&#124;", "")
        assert asked("POST" if method == "POST" else "GET", plain) is None or asked("POST", plain) is None, f"{name}: {address}"
    for command in re.findall(r"`(nativelink-gateway [a-z][^`]*)`", words):
        assert problem(shlex.split(command)) is None, f"{name}: {command}"
    for setting in re.findall(r"`(gateway\.[a-z_.\[\]]*[a-z\]])`", words):
        module = ROOT / f"{setting.replace('.', '/')}.py"
        assert setting in KEYS or setting.replace("taps.", "taps[].") in KEYS or module.exists(), f"{name}: {setting}"
    for metric in re.findall(r"`(nativelink_\w+)`", words):
        assert metric in METRICS, f"{name}: {metric}"
    for file in re.findall(r"`((?:docs|scripts|deploy|tests|gateway|requirements|protos|benchmarks)/[\w./-]*\w)`", words):
        assert (ROOT / file).exists(), f"{name}: {file}"
