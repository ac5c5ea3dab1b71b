"""The pages of the documentation, taken apart: code blocks in order, and what a test is told beside them.

The first word after the fence says what a block is, the words behind it how it is tested:

``sh``               run by bash, one session from the top of a page to its end. ``sh server``: it goes on running, and
                     the page waits until it answers, and with ``until=WORD`` until it has said so. ``sh fails``: it
                     ends with an error. ``sh shown``: only read by bash; SHOWN in test_docs.py says why, page by page.
``python``           run, one interpreter for a page; ``python file=garden.py``: written to that file.
``sql``              run by psql on the page's database; ``sql fails``: refused.
``json``             valid JSON; ``json answer``: what the block above it printed, "…" standing for anything.
``text``             ``text answer``: likewise, for output that is no JSON; ``text drawing``: nothing to run.
``dockerfile`` and ``ini`` are read by their own parsers.

``<!-- test: serve -->`` starts a server with fieldwork and two users, Olga of the office and Wim in the field;
``<!-- test: stop -->`` stops the page's server, as the reader is told to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

LANGUAGES = {"sh", "python", "sql", "json", "text", "ini", "dockerfile"}

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_TOLD = re.compile(r"^<!-- test: (?P<words>[^>]*?) -->$")


@dataclass(frozen=True)
class Block:
    """One code block. ``line`` is the fence's, counted from 1; ``words`` stand behind the language."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Told:
    """What a page tells its test, out of the reader's sight."""

    page: Path
    line: int
    words: tuple[str, ...]


def parts(page: Path) -> list[Block | Told]:
    """Blocks and directions of a page, in order. Raises ValueError for a block that is not closed."""
    found: list[Block | Told] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if told := _TOLD.match(line):
            found.append(Told(page, number, tuple(told["words"].split())))
        if (opened := _FENCE.match(line)) is None:
            continue
        start = number
        while number < len(lines) and lines[number].strip() != opened["fence"]:
            number += 1
        if number == len(lines):
            raise ValueError(f"{page}:{start}: the block is not closed")
        language, *words = opened["info"].split() or [""]
        indent = len(opened["indent"])
        text = "\n".join(each[indent:] for each in lines[start:number])
        found.append(Block(page, start, language, tuple(words), text))
        number += 1
    return found


def blocks(page: Path) -> list[Block]:
    return [part for part in parts(page) if isinstance(part, Block)]


def prose(page: Path) -> list[tuple[int, str]]:
    """Numbered lines outside code blocks."""
    inside: set[int] = set()
    for block in blocks(page):
        inside |= set(range(block.line, block.line + block.text.count("\n") + 3))
    lines = page.read_text(encoding="utf-8").splitlines()
    return [(number, line) for number, line in enumerate(lines, 1) if number not in inside]


def headings(page: Path) -> list[tuple[int, str]]:
    return [(number, line.lstrip("#").strip()) for number, line in prose(page) if re.match(r"#{1,6} ", line)]


def anchor(heading: str) -> str:
    """The fragment of a heading, as GitHub makes it."""
    plain = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading.replace("`", ""))
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
