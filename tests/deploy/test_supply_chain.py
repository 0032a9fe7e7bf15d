"""What the gateway is made of: every package is locked by its hash, has a licence that suits, and is in the bill of materials."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUFF: dict[str, Any] = PROJECT["tool"]["ruff"]["lint"]
#: None of these asks anything of who runs the gateway.
LICENCES = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "Python-2.0",
    "License :: OSI Approved :: Apache Software License",
}
#: Whose metadata has the licence in words alone.
IN_WORDS = {"protobuf": "3-Clause BSD License"}


@cache
def requirements(lock: Path) -> list[tuple[Requirement, list[str]]]:
    """(what is installed, its hashes) of every entry."""
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", lock.read_text(), flags=re.MULTILINE).strip())
    return [
        (Requirement(entry.split(" \\\n")[0]), re.findall(r"--hash=(sha256:[0-9a-f]{64})(?= \\\n|$)", entry)) for entry in entries
    ]


def locked(name: str) -> dict[str, str]:
    """{package: version} of a lock."""
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement, _ in requirements(ROOT / "requirements" / f"{name}.txt")
        if requirement.marker is None or requirement.marker.evaluate()
    }


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    """Made once for all processes of pytest-xdist, whose directories are in one: it takes half a minute."""
    is_alone = worker_id == "master"
    directory = tmp_path_factory.mktemp("materials") if is_alone else tmp_path_factory.getbasetemp().parent
    file = directory / "sbom.json"
    with (directory / "sbom.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            subprocess.run([ROOT / "scripts" / "sbom", directory / "sbom.new"], check=True)  # noqa: S603
            (directory / "sbom.new").rename(file)
    return file.read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_is_locked_by_version_and_hashes(lock: Path) -> None:
    found = requirements(lock)
    assert found
    for requirement, hashes in found:
        (version,) = requirement.specifier
        assert version.operator == "=="
        assert hashes, requirement


def test_nothing_is_installed_but_what_is_locked() -> None:
    scripts = [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run", ROOT / "Dockerfile"]
    lines = [line for script in scripts for line in re.sub(r"^#.*$", "", script.read_text(), flags=re.MULTILINE).splitlines()]
    installs = [line for line in lines if re.search(r"\bpip\b.* (?:install|wheel)\b", line)]
    assert len(installs) >= 6
    # The project itself, without its dependencies, is the other kind.
    assert [line for line in installs if not re.search("--require-hashes|--no-deps --no-(?:build-isolation|index)", line)] == []


def test_what_builds_the_project_is_locked_apart_from_what_running_needs() -> None:
    """So it can be taken away again, and either is what development is tested with."""
    run, build = locked("run"), locked("build")
    assert {canonicalize_name(Requirement(each).name) for each in PROJECT["build-system"]["requires"]} <= set(build)
    assert set(run) & set(build) == set()
    assert (run | build).items() <= locked("dev").items()


def test_the_bill_of_materials_is_one(materials: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(materials) is None


def test_the_bill_of_materials_has_what_running_needs_and_nothing_else(materials: str) -> None:
    document = json.loads(materials)
    assert {canonicalize_name(each["name"]): each["version"] for each in document["components"]} == locked("run")
    assert document["metadata"]["component"]["name"] == "nativelink-gateway"


def test_no_build_backend_is_in_the_bill_of_materials(materials: str) -> None:
    has = {canonicalize_name(each["name"]) for each in json.loads(materials)["components"]}
    assert has & {*locked("build"), "pip", "setuptools", "wheel"} == set()


def test_every_licence_suits(materials: str) -> None:
    document = json.loads(materials)
    for each in document["components"]:
        names = [
            said.get("expression") or said["license"].get("id") or said["license"]["name"] for said in each.get("licenses", ())
        ]
        found = {part for name in names for part in re.split(r" AND | OR ", name)}
        assert found <= LICENCES, each["name"]
        assert found or each["name"] in IN_WORDS, each["name"]


def test_linting_looks_for_what_is_unsafe_and_every_exception_says_why() -> None:
    assert RUFF["select"] == ["ALL"]
    assert [rule for rule in RUFF["ignore"] if re.fullmatch(r"S\d*", rule)] == []
    excepted = [rule for rules in RUFF["per-file-ignores"].values() for rule in rules if re.fullmatch(r"S\d+", rule)]
    lines = re.findall(r'^    "(S\d+)", +# \w', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert sorted(lines) == sorted(excepted)
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        for line in file.read_text().splitlines():
            if found := re.search(r"# noqa: (?=[A-Z0-9, ]*\bS\d{3})[A-Z0-9, ]+(.*)", line):
                assert re.match(r"(?:#|-) \w", found[1].strip()), f"{file}: {line}"


def test_no_per_file_exception_is_for_the_product() -> None:
    assert not [each for each in RUFF["per-file-ignores"] if not re.match("(tests|benchmarks|scripts|docs)/", each)]
