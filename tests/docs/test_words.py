"""One word for one thing: the glossary has every word of the house, and the words it rules out stand nowhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, headings
from tests.test_tidy import SHIPPED, identifiers, name_of, parse, words

HOUSE = {
    "device",
    "batch",
    "item",
    "result",
    "change",
    "token",
    "scope",
    "entered, held, left",
    "stamp",
    "departure",
    "version",
    "base",
    "policy",
    "conflict",
    "resolution",
    "replica",
    "outbox",
    "ack",
    "tombstone",
    "resync",
    "quarantine",
    "epoch",
    "tenant",
}

RULED_OUT = {"record", "document", "entity", "manager", "service", "helper", "util", "common"}

ALLOWED = {
    # The verb, and the module of the last step of push.
    "engine: record",
    # RFC 9457 and OpenAPI call theirs so.
    "protocol: document",
    "client: document",
    "server: ProblemDocument",
    # Columns of specification 5.
    "apps: entity_type",
    "apps: entity_id",
    # What specification 4 calls the table of an offline operation.
    "apps: entity",
}
"""Names that are somebody else's words, or another sense of ours."""


def glossary() -> list[str]:
    return [heading for _, heading in headings(ROOT / "docs" / "glossary.md")]


def test_every_word_of_the_house_has_one_entry_with_a_meaning() -> None:
    entries = glossary()
    assert HOUSE - set(entries) == set()
    assert len(entries) == len(set(entries))
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    empty = [part.split("\n")[0] for part in text.split("\n## ")[1:] if len(part.split()) < 6]
    assert empty == []


def test_the_glossary_is_in_order() -> None:
    entries = glossary()[1:-1]
    assert entries == sorted(entries)


def test_no_name_is_a_word_that_is_ruled_out() -> None:
    found = {
        f"{path.relative_to(ROOT / 'src' / 'homing').parts[0]}: {name}"
        for path in SHIPPED
        for name in [*identifiers(parse(path)), *imported(path)]
        if RULED_OUT & words(name)
    }
    assert found - ALLOWED == set()
    assert ALLOWED - found == set(), "allowed, but no longer there"


def imported(path: Path) -> list[str]:
    """Modules of ours that a module takes in by name."""
    return [
        alias.asname or alias.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("homing")
        for alias in node.names
    ]


def test_no_heading_is_a_word_that_is_ruled_out() -> None:
    found = [
        f"{name_of(page)}:{number}: {heading}"
        for page in PAGES
        for number, heading in headings(page)
        if RULED_OUT & {word.lower().removesuffix("s") for word in re.findall(r"[A-Za-z]+", heading)}
    ]
    assert found == []
