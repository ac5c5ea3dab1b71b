"""Statements with filters that are there or not: a line of SQL that ends in ``-- when form`` stays only when ``form``
is among the filters that are asked for.

The file stays one statement that PostgreSQL can prepare as it is, with every filter on. What is run is a statement of
its own for each combination, so each gets a plan that uses the index its filters have.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import LiteralString

from homing.postgres.sql import load

STATEMENTS_MAX = 256
"""Combinations of filters kept. People use a dozen; every one is a prepared statement on each connection."""

_WHEN = re.compile(r"^(?P<sql>.*?)\s*-- when (?P<filter>\w+)$")


@lru_cache(maxsize=STATEMENTS_MAX)
def load_with(package: str, name: str, filters: frozenset[str]) -> LiteralString:
    """``<package>/queries/<name>.sql`` with these filters on. Raises ValueError for one it has not."""
    kept: list[LiteralString] = []
    known: set[str] = set()
    for line in load(package, name).splitlines():
        conditional = _WHEN.match(line)
        if conditional is None:
            kept.append(line)
            continue
        known.add(conditional["filter"])
        if conditional["filter"] in filters:
            kept.append(conditional["sql"])
    if filters - known:
        raise ValueError(f"{package}/queries/{name}.sql has no filter {sorted(filters - known)}")
    return "\n".join(kept)
