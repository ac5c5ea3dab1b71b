"""The test of the pages can fail: what it compares is compared, and what it runs is run."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import homing
from tests.docs.pages import ROOT, blocks
from tests.docs.session import FailedError, session
from tests.docs.test_docs import compare, pattern


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ([1], [1, 2]),
        ([1, 2], [1]),
        ("…Z", "2026"),
        ({"a": [{"b": None}]}, {"a": [{"b": 0}]}),
    ],
)
def test_another_answer_than_shown_is_found(shown: object, real: object) -> None:
    with pytest.raises(AssertionError):
        compare(shown, real, "")


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": "…"}, {"a": [1]}),
        ({"a": 1, "…": "…"}, {"a": 1, "b": 2}),
        ([1, "…"], [1, 2, 3]),
        ("tok1_…", "tok1_abc"),
    ],
)
def test_what_is_left_open_may_be_anything(shown: object, real: object) -> None:
    compare(shown, real, "")


def test_a_dash_of_text_is_not_any_text() -> None:
    assert re.fullmatch(pattern("one … three"), "one two three", re.S)
    assert not re.fullmatch(pattern("one … three"), "one two four", re.S)


def test_a_failing_command_fails_its_page(tmp_path: Path) -> None:
    with session(tmp_path, {}) as opened:
        assert opened.shell("greeting=hello; echo $greeting") == "hello"
        assert opened.shell("echo $greeting again") == "hello again"
        assert opened.shell("echo no; false", fails=True) == "no"
        assert opened.python("x = 1\nprint(x)") == "1"
        with pytest.raises(FailedError, match="ZeroDivisionError"):
            opened.python("x / 0")
        with pytest.raises(FailedError):
            opened.shell("echo this; false; echo that")


def modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(homing.__path__, "homing."):
        if module.name.split(".")[1] in ("protocol", "declare", "engine", "accounts", "media", "server"):
            yield module.name


def test_names_in_explanations_are_names_in_the_code() -> None:
    by_word: dict[str, list[str]] = {}
    for name in modules():
        by_word.setdefault(name.rpartition(".")[2], []).append(name)
    wrong, right = [], 0
    for page in sorted((ROOT / "docs" / "explanation").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for word, name in re.findall(r"`(\w+)\.(\w+)`", text):
            if word not in by_word:
                continue
            found = [module for module in by_word[word] if hasattr(importlib.import_module(module), name)]
            right += bool(found)
            if not found:
                wrong.append(f"{page.name}: {word}.{name}")
        drawings = "\n".join(block.text for block in blocks(page))
        paths = set(re.findall(r"\b(?:engine|server|accounts|media)/[\w/]+\.(?:py|sql)", text + drawings))
        wrong += [f"{page.name}: {path}" for path in paths if not (ROOT / "src" / "homing" / path).exists()]
    assert wrong == []
    assert right > 25
