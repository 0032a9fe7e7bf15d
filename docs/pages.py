"""Pages that stand elsewhere in the tree: the first one is the README, so that nothing is told twice.

In: what MkDocs found in docs/. Out: that and those pages, every link between them as the site has it.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[1]
#: File of the tree -> its page.
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "threat-model.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
#: Where a page is spoken of, as for people who read the files.
_MENTION = re.compile(r"(?<![\w/\[])(?<!\]\()(?P<ticks>`?)docs/(?P<name>[\w-]+)\.md(?P=ticks)(?!\w)")
#: What a link leads to, before its anchor.
_LINK = re.compile(r"(?<=\]\()(?P<file>[\w./-]+\.md)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs asks before it reads the pages."""
    for name, page in PAGES.items():
        text = (_ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_LINK.sub(_from_the_root, text)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs asks before it looks at the links of a page."""
    return _MENTION.sub(r"[\g<name>](\g<name>.md)", _LINK.sub(_from_docs, markdown))


def _from_the_root(link: re.Match[str]) -> str:
    name = link["file"]
    return PAGES.get(name) or name.removeprefix("docs/")


def _from_docs(link: re.Match[str]) -> str:
    name = link["file"]
    return PAGES.get(name.removeprefix("../"), name) if name.startswith("../") else name
