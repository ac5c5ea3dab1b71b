"""The replica's statements: one a file in ``queries/``, parameters as ``:name`` (SQLite's own)."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def load(name: str) -> str:
    """The statement in ``queries/<name>.sql``."""
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


def migrations() -> list[str]:
    """The scripts that make the replica's own tables, oldest first. ``PRAGMA user_version`` counts those applied."""
    folder = resources.files(__package__).joinpath("layout")
    return [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


def quote(identifier: str) -> str:
    """An SQL identifier. Names of tables and columns come from the server, so they are never pasted bare."""
    return '"' + identifier.replace('"', '""') + '"'
