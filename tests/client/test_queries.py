"""Every statement of the replica is one that SQLite can prepare against a fresh replica, and says why it is there."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from homing.client import Replica
from homing.client.sql import load

FILES = sorted(file.name for file in resources.files("homing.client").joinpath("queries").iterdir())
NAMES = [name.removesuffix(".sql") for name in FILES]


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_can_be_prepared(tmp_path: Path, name: str) -> None:
    text = load(name)
    assert text.startswith("-- ")
    named = dict.fromkeys(re.findall(r":(\w+)", re.sub(r"--.*", "", text)))
    with Replica(tmp_path / "r.db") as replica:
        parameters = named or [None] * text.count("?")
        replica.store.connection.execute(f"EXPLAIN {text}", parameters)


def test_every_statement_is_used() -> None:
    sources = "".join(file.read_text() for file in Path(str(resources.files("homing.client"))).glob("*.py"))
    assert [name for name in NAMES if f'"{name}"' not in sources] == []
