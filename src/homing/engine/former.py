"""Keys of rows that are deleted: a key means one row for ever, or an edit of the former one would pass for an edit of
the new. So creates that bring their keys are asked about in the history.

A batch of nothing but creates asks as it opens, in the same round trip. With updates or deletes in it, rows are locked
first, which may take until somebody else's delete is through; then it is asked after that. A batch that goes at once
only makes sure that there is no such key (``claim_expected.sql``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from uuid import UUID

from homing.engine.engine import Engine
from homing.engine.items import Work, canonical_key
from homing.engine.tables import BoundTable
from homing.postgres.sql import Answer, Call, Connection


@dataclass(frozen=True, slots=True)
class Former:
    """Of one table: keys that were asked about, and those of them that were rows which are deleted now, and which the
    caller may have seen."""

    asked: AbstractSet[str]
    gone: AbstractSet[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, to be sent with others."""

    table: BoundTable
    keys: AbstractSet[str]
    call: Call

    def read(self, answer: Answer) -> Former:
        return Former(self.keys, {row_id for (row_id,) in answer.rows})


def ask(engine: Engine, table: BoundTable, keys: AbstractSet[str], *, user: UUID) -> Asked:
    return Asked(table, keys, engine.readers.former(table).call({"ids": sorted(keys), "user": user}))


def early_keys(works: Sequence[Work]) -> list[tuple[BoundTable, AbstractSet[str]]]:
    """The keys that a batch of nothing but creates brings, as far as can be told before its caller is confirmed."""
    found: dict[int, tuple[BoundTable, set[str]]] = {}
    for work in works:
        if work.verdict is not None:
            continue
        if work.item is None or work.table is None or work.item.action != "create":
            return []
        key = None
        if work.given_id is not None and work.given_id != work.temp_id:
            key = canonical_key(work.table, work.given_id)
        if key is not None:
            found.setdefault(work.table.id, (work.table, set()))[1].add(key)
    return list(found.values())


async def find(
    engine: Engine,
    conn: Connection,
    table: BoundTable,
    keys: AbstractSet[str],
    *,
    user: UUID,
    known: Mapping[int, Former],
) -> list[str]:
    """Which of ``keys`` were rows that are deleted now; asked only where the opening did not."""
    found = known.get(table.id)
    if found is None or not keys <= found.asked:
        asked = ask(engine, table, keys, user=user)
        found = asked.read((await conn.run_all([asked.call]))[0])
    return sorted(keys & found.gone)
