"""Who is measured. Each contender brings its own schema, its own words and its own client; the rows are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import psycopg

from bench.rows import Row


class Page(NamedTuple):
    """One answer to a pull. ``changes`` counts them."""

    token: str | None
    changes: int
    more: bool
    body: bytes


class Client(Protocol):
    """One device on one connection."""

    def encode(self, rows: Sequence[Row]) -> bytes:
        """The body of a push that creates these rows."""

    def push(self, body: bytes, items: int) -> None:
        """Send it. Raises AssertionError unless every item was applied."""

    def write(self, row: Row) -> None:
        """Create one row in the way this server offers for a single write. Raises AssertionError if refused."""

    def page(self, token: str | None, limit: int) -> Page:
        """The next page after ``token``; None is a device that has nothing."""

    def changes(self, body: bytes) -> list[tuple[str, int | None]]:
        """A page's changes as id and version; None is a row to remove."""

    def close(self) -> None: ...


class Contender(Protocol):
    """A server that syncs. ``share`` is the part of a push's load that it gets: a server that does a hundredth of the
    others' would take an hour for the whole."""

    name: str
    pid: int
    share: float

    def client(self, number: int) -> Client:
        """Device ``number`` with a new connection. Devices are registered and signed in beforehand."""

    def fill(self, rows: int) -> None:
        """Bring the scope to at least ``rows`` rows, by SQL."""

    def count(self) -> int:
        """Rows of the scope in the database."""


class Watched(Contender, Protocol):
    """A contender whose database can be looked into: what a device holds can be compared with it row by row."""

    url: str

    def rows(self) -> dict[str, int]:
        """Id and version of every row of the scope, in one snapshot."""

    def insert(self, connection: psycopg.Connection[Any], row: Row) -> None:
        """The row, written by SQL in the connection's open transaction."""


class Pulled(NamedTuple):
    token: str | None
    changes: int
    size: int


def pull(client: Client, token: str | None, limit: int, *, held: dict[str, int] | None = None) -> Pulled:
    """All pages from ``token`` on; applied to ``held`` (id → version) where it is given."""
    changes = size = 0
    while True:
        page = client.page(token, limit)
        if held is not None:
            _apply(held, client.changes(page.body))
        token = page.token
        changes += page.changes
        size += len(page.body)
        if not page.more:
            return Pulled(token, changes, size)


def _apply(held: dict[str, int], changes: list[tuple[str, int | None]]) -> None:
    for row, version in changes:
        if version is None:
            held.pop(row, None)
        else:
            held[row] = version
