"""Items sent again: by key (temp id, action, version) within a device, an item is judged once and answered as often as
it is sent, in whatever batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from homing.engine import record
from homing.engine.items import Work
from homing.engine.values import read_row
from homing.postgres.sql import Connection, load


async def recall(conn: Connection, works: Sequence[Work], judged: Sequence[tuple[object, ...]]) -> Mapping[str, str]:
    """Give items that were judged before their verdict again. Returns what earlier batches' temp ids stand for."""
    known: dict[str, str] = {}
    by_key: dict[object, tuple[object, ...]] = {}
    for row in judged:
        by_key[(row[0], row[1], row[2])] = row
        if row[1] == "create" and row[4] is not None and row[3] == "ok":
            known[str(row[0])] = str(row[4])
    again = [(work, by_key[work.key]) for work in works if work.verdict is None and work.key in by_key]
    if not again:
        return known
    sent = [
        {"n": n, "id": str(row[10]), "payload": work.item.payload}
        for n, (work, row) in enumerate(again)
        if work.item is not None and record.is_keepable(bytes(work.item.payload))
    ]
    rows = await (
        await conn.execute(load(__package__, "same_payloads"), {"items": msgspec.json.encode(sent).decode()})
    ).fetchall()
    equal: dict[int, bool] = dict(rows)
    for n, (work, row) in enumerate(again):
        record.give_again(work, row, same_body=bool(equal.get(n)))
    return known


def give_twins(twins: Sequence[tuple[Work, Work]]) -> None:
    """Give repeats within a batch the verdict of their first."""
    for twin, first in twins:
        if twin.verdict is not None:
            continue  # the whole batch was refused
        assert first.verdict is not None
        twin.verdict = replace(first.verdict, stored=True)


def part_twins(works: Sequence[Work]) -> tuple[list[Work], list[tuple[Work, Work]]]:
    """Items that repeat another's key within the batch: with the same payload they get its verdict, with another they
    are refused. Returns the others, and each repeat with its first."""
    first: dict[object, Work] = {}
    fresh: list[Work] = []
    twins: list[tuple[Work, Work]] = []
    for work in works:
        other = first.setdefault(work.key, work) if work.key is not None and work.verdict is None else work
        if other is work:
            fresh.append(work)
        elif _same_payload(work, other):
            twins.append((work, other))
        else:
            work.refuse("reused_with_other_body", "another item of this batch has the same key and another payload")
            fresh.append(work)
    return fresh, twins


def _same_payload(one: Work, other: Work) -> bool:
    assert one.item is not None
    assert other.item is not None
    encode = msgspec.json.Encoder(order="deterministic").encode
    return encode(read_row(bytes(one.item.payload).decode())) == encode(read_row(bytes(other.item.payload).decode()))
