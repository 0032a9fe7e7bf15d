"""The fenced blocks of what people read: files of the tree come in, blocks with their language and place go out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: A fence, however far it is indented, up to the same one.
_FENCED = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One of them."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def documents() -> Iterator[tuple[str, str]]:
    """(name, text) of every document that is there."""
    for file in FILES:
        if file.exists():
            yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def blocks(language: str | None = None) -> list[Block]:
    """All blocks, or those of a language."""
    return [
        Block(name, text.count("\n", 0, found.start()) + 1, found["language"].strip(), textwrap.dedent(found["text"]))
        for name, text in documents()
        for found in _FENCED.finditer(text)
        if language is None or found["language"].strip() == language
    ]


def prose(text: str) -> str:
    """A document without its blocks."""
    return _FENCED.sub("", text)
