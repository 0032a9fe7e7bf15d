"""The built documentation: it comes from one folder, and a warning is an error."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from docs.pages import PAGES, on_page_markdown

ROOT = Path(__file__).parents[2]
#: As scripts/docs does, into a folder.
BUILD = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir"]
#: What a style sheet or a script fetches, wherever from.
FETCHED = re.compile(
    r"""url\(\s*["']?(?!data:)([^"')]+)|@import\s+["']([^"']+)|(?:importScripts|fetch|Worker|import)\(\s*["']([^"']+)"""
)


class Parts(HTMLParser):
    """What a page loads by itself, what it leads to, and what can be led to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.leads_to: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in {"src", "href"} and value is not None:
                (self.leads_to if tag == "a" else self.loads).add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run([*BUILD, str(directory)], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Parts]:
    found = {}
    for file in sorted(site.rglob("*.html")):
        found[file] = Parts()
        found[file].feed(file.read_text(encoding="utf-8"))
    return found


def test_it_is_built_as_the_script_builds_it() -> None:
    assert "python -P -m mkdocs build --strict --site-dir" in (ROOT / "scripts" / "docs").read_text(encoding="utf-8")
    assert "scripts/docs --check" in (ROOT / "scripts" / "check").read_text(encoding="utf-8").splitlines()


def test_every_page_of_the_folder_and_every_page_from_elsewhere_is_in_it(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")} | {Path(page) for page in PAGES.values()}
    assert {path.with_suffix(".html") for path in written} == {path.relative_to(site) for path in site.rglob("*.html")} - {
        Path("404.html")
    }


def test_pages_load_nothing_from_elsewhere(site: Path, pages: dict[Path, Parts]) -> None:
    for file, parts in pages.items():
        for each in parts.loads:
            address = urlsplit(each)
            assert not address.scheme, f"{file}: {each}"
            assert not address.netloc, f"{file}: {each}"
            if file.name != "404.html":  # it is shown at any address, so its links begin with a slash
                assert (file.parent / address.path).is_file(), f"{file}: {each}"
    for file in [*site.rglob("*.css"), *site.rglob("*.js")]:
        for found in FETCHED.finditer(file.read_text(encoding="utf-8")):
            each = found[1] or found[2] or found[3]
            assert not urlsplit(each).scheme, f"{file}: {each}"
            assert not each.startswith("//"), f"{file}: {each}"


def test_every_link_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Parts]) -> None:
    for file, parts in pages.items():
        if file.name == "404.html":
            continue
        for each in parts.leads_to:
            address = urlsplit(each)
            if address.scheme:
                assert address.scheme == "https" or address.hostname == "localhost", f"{file}: {each}"
                continue
            target = (file.parent / address.path).resolve() if address.path else file
            assert target in pages, f"{file}: {each}"
            assert not address.fragment or address.fragment in pages[target].anchors | {"top"}, f"{file}: {each}"


def test_a_page_that_is_spoken_of_is_led_to() -> None:
    spoken = "docs/rest.md has it, `docs/rest.md` too (docs/rest.md); [so](docs/rest.md), other/docs/rest.md"
    there = "[rest](rest.md) has it, [rest](rest.md) too ([rest](rest.md)); [so](docs/rest.md), other/docs/rest.md"
    assert on_page_markdown(spoken) == there
    assert on_page_markdown("[a](../README.md#x) [b](../CHANGELOG.md)") == "[a](index.md#x) [b](changelog.md)"


def test_configuration_warns_of_everything_that_it_can() -> None:
    values = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert values["strict"] is True
    assert {level for group in values["validation"].values() for level in group.values()} == {"warn"}


def test_a_link_that_leads_nowhere_fails(tmp_path: Path) -> None:
    """Not so with --quiet, which takes the warnings from what counts them."""
    values = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {"hooks": [], "docs_dir": "pages", "nav": [{"One": "one.md"}]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump({**values, **pages}))
    (tmp_path / "pages").mkdir()
    for text, code in (("# One\n\n[one](#one)", 0), ("# One\n\n[two](#two)", 1)):
        (tmp_path / "pages" / "one.md").write_text(text)
        done = subprocess.run([*BUILD, str(tmp_path / "site")], cwd=tmp_path, capture_output=True, check=False)  # noqa: S603
        assert done.returncode == code


def test_every_row_is_in_its_table(site: Path) -> None:
    """One behind an empty line is text."""
    for file in site.rglob("*.html"):
        plain = re.sub(r"<pre>.*?</pre>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"^(?:<p>)?\| ", plain, re.MULTILINE), file
        assert "```" not in plain, file
