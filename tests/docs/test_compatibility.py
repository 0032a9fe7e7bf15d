"""docs/compatibility.md tells of the recordings that there are, and of the release that is shipped with."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.recordings import FOLDER, MODERN

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")


def test_as_many_scenarios_are_told_of_as_are_recorded_and_one_of_an_old_release() -> None:
    assert f"| Recorded: {len(MODERN)} scenarios " in TEXT
    assert "| Recorded: one scenario " in TEXT
    assert {file.name for file in FOLDER.glob("*.jsonl.gz")} == {f"{name}.jsonl.gz" for name in (*MODERN, "legacy")}


def test_the_release_of_the_recordings_is_the_one_that_compose_starts() -> None:
    (recorded,) = re.findall(r"^\| ([\d.]+) \| .* \| Recorded: \d+ scenarios", TEXT, re.MULTILINE)
    assert f"nativelink:v{recorded}" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f"NativeLink {recorded} scheduler" in (FOLDER / "README.md").read_text(encoding="utf-8")
