"""The project's pages as tests see them: their blocks of code, their commands, their links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    sorted(
        page.relative_to(ROOT)
        for pattern in ("*.md", "docs/*.md", "k8s/**/*.md")
        for page in ROOT.glob(pattern)
        if page.name != "CHANGELOG.md"  # it tells of what was, too
    )
)

_BLOCK = re.compile(r"(?:^<!-- (\w+): (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of code. Its mark, a comment before it, says what it is (``example``, ``quoted``) and which."""

    mark: str
    name: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What is typed in a console, without the comments behind it."""
        typed = (line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ "))
        return [re.sub(r"\s+#.*", "", line) for line in typed]


def read(page: Path | str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text("utf-8")


def blocks(text: str) -> list[Block]:
    """Return a page's blocks of code."""
    return [Block(*(part or "" for part in found.groups())) for found in _BLOCK.finditer(text)]


def spans(text: str) -> Iterator[str]:
    """Yield what stands between backquotes in a page's prose."""
    yield from _SPAN.findall(_BLOCK.sub("", text))


def links(text: str) -> Iterator[str]:
    """Yield where a page's links lead."""
    yield from _LINK.findall(_BLOCK.sub("", text))


def example(page: str, name: str) -> Block:
    """Return the example of this name."""
    [found] = [one for one in blocks(read(page)) if (one.mark, one.name) == ("example", name)]
    return found
