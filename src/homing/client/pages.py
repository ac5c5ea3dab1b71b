"""Applying what a pull brings.

What the application sees must equal what its user could see at one instant, never page one of three. So a delta of
several pages is staged, and its last page makes all of it visible together with its token, in one transaction. A
delta of one page needs no staging. A first sync shows its pages as they come, because something is better than
nothing for minutes; ``complete`` is false until its end.

A *resync* is a delta that replaces everything: the old rows stay visible until the new ones are all here. A *repair*
replaces some tables: their rows are pulled again on the side and staged, then the ordinary delta is pulled over them,
so that even a repair never shows two instants at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Literal

import msgspec
from msgspec import Raw

from homing.client import attachments, layers, restored
from homing.client.sql import load
from homing.client.store import State, Store

SETTLED_DAYS = 7
"""Days an applied edit is kept, to be offered again should the server come back from an older backup."""
ALL_TABLES = "*"
CHUNK_ROWS = 5000
"""Rows of a staged delta that are in memory at once."""


class Change(msgspec.Struct, gc=False):
    """One change as it travels; ``payload`` is the server's text."""

    id: str | int
    resource_type: str
    action: Literal["create", "update", "delete"]
    payload: Raw = Raw(b"{}")
    server_version: int | None = None
    reason: str | None = None


RowChange = tuple[str, str, int, Raw | None]
"""A change as it is stored: resource type, id, version, payload (None: the row leaves)."""
_TABLE = itemgetter(0)


class Page(msgspec.Struct):
    """An answer of ``POST /mobile/sync/pull``."""

    next_token: str
    changes: list[Change]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page is asked for. ``repair``: on the side, in the narrowed pull of a repair."""

    token: str | None
    tables: tuple[str, ...] | None
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """``finished``: the synced tables now equal the server at the instant of this page."""

    upserts: int
    removals: int
    finished: bool


decode_page = msgspec.json.Decoder(Page).decode


def place(store: Store) -> Place:
    """Where to go on. It is stored with every page, so a killed pull continues with the page it was at."""
    state = store.state()
    if state.repair_tables is not None:
        return Place(state.repair_token, tuple(msgspec.json.decode(state.repair_tables, type=list[str])), repair=True)
    wanted = None if state.wanted is None else tuple(msgspec.json.decode(state.wanted, type=list[str]))
    return Place(state.chain_token or state.token, wanted)


def apply(store: Store, asked: Place, page: Page) -> Applied:
    """Store a page that was asked for at ``asked``. A page from anywhere else is dropped: somebody was faster."""
    state = store.state()
    whole = not page.has_more
    nothing_new = whole and not page.changes and page.next_token == state.token == asked.token
    if nothing_new and not asked.repair and state.replaces is None and not store.all("read_applied"):
        return Applied(0, 0, finished=True)  # so nothing is written, and nothing flushed
    with store.transaction():
        if place(store) != asked:
            return Applied(0, 0, finished=False)
        state = store.state()
        changes = _latest(page.changes)
        upserts = [change for change in changes if change[3] is not None]
        removals = [change for change in changes if change[3] is None]
        done = Applied(len(upserts), len(removals), finished=whole and not asked.repair)
        if asked.repair:
            store.many(load("stage"), changes)
            store.set_state(repair_token=page.next_token)
            if whole:
                store.set_state(repair_token=None, repair_tables=None)
            return done
        direct = not state.complete or (whole and state.chain_token is None and state.replaces is None)
        if direct:
            _write(store, upserts, removals)
        else:
            store.many(load("stage"), changes)
        if not whole:
            store.set_state(chain_token=page.next_token)
            return done
        if not direct:
            _show_staged(store, state)
        _finish(store, state, page.next_token)
        return done


def begin_resync(store: Store, *, offer_again: bool) -> None:
    """Start from nothing, with the outbox kept. ``offer_again``: the server may have lost what it had confirmed."""
    with store.transaction():
        store.run("delete_staged")
        again = offer_again or store.state().offer_again
        store.set_state(token=None, acked_token=None, chain_token=None, repair_token=None, repair_tables=None,
                        offer_again=again)  # fmt: skip
        if store.state().complete:
            store.set_state(replaces=msgspec.json.encode(ALL_TABLES).decode())
            return
        # A first sync that begins again would never be told what left in between.
        store.run("delete_base")
        for table in store.tables().values():
            store.connection.execute(table.clear_sql())
        layers.refresh(store, layers.layered_rows(store))


def begin_repair(store: Store, tables: Sequence[str]) -> None:
    """Pull these tables again; nothing changes for the application until they are whole."""
    with store.transaction():
        store.run("delete_staged")
        names = msgspec.json.encode(sorted(tables)).decode()
        store.set_state(chain_token=None, repair_token=None, repair_tables=names, replaces=names)


def _latest(changes: Sequence[Change]) -> list[RowChange]:
    """Of several changes of a row the last one, table by table, as the statements bind them."""
    latest: dict[tuple[str, str], RowChange] = {}
    for change in changes:
        row_id = change.id if isinstance(change.id, str) else str(change.id)
        payload = None if change.action == "delete" else change.payload
        latest[change.resource_type, row_id] = (change.resource_type, row_id, change.server_version or 0, payload)
    return sorted(latest.values(), key=_TABLE)


def _write(store: Store, upserts: Sequence[RowChange], removals: Sequence[RowChange]) -> None:
    tables = store.tables()
    store.many(load("upsert_base"), upserts)
    for resource_type, group in groupby(upserts, key=_TABLE):
        # A table this schema does not know yet waits in the base: a newer schema makes it from there.
        if (table := tables.get(resource_type)) is not None:
            store.many(table.upsert_sql(), table.bind_all(group))
    _remove(store, [change[:2] for change in removals])
    layered = layers.layered_rows(store)
    if layered:
        layers.refresh(store, layered & {change[:2] for change in (*upserts, *removals)})


def _remove(store: Store, keys: Sequence[tuple[str, str]], *, keep_settled: bool = False) -> None:
    """Rows that left, and every copy of them: the base, settled edits, conflict copies, attached files."""
    if not keys:
        return
    tables = store.tables()
    store.many(load("delete_base_row"), keys)
    for resource_type, group in groupby(keys, key=lambda key: key[0]):
        if (table := tables.get(resource_type)) is not None:
            store.many(table.delete_sql(), [(row_id,) for _, row_id in group])
    if not keep_settled:
        store.many(load("delete_settled_of_row"), keys)
    store.many(load("forget_server_payload_of_row"), keys)
    attachments.forget_rows(store, keys)
    store.after_commit(store.checkpoint)


def _show_staged(store: Store, state: State) -> None:
    if state.replaces is not None:
        replaced = msgspec.json.decode(state.replaces)
        gone = store.all("read_replaced_away", all=replaced == ALL_TABLES, tables=state.replaces)
        # What a restored server does not send may be what it lost: the edits that made it are about to be offered.
        _remove(store, [(row["resource_type"], row["id"]) for row in gone], keep_settled=state.offer_again)
    removals = store.all("read_staged_removals")
    _remove(store, [(row["resource_type"], row["id"]) for row in removals])
    store.run("upsert_base_from_staged")
    for resource_type, table in store.tables().items():
        rows = store.connection.execute(load("read_staged"), {"resource_type": resource_type})
        while chunk := rows.fetchmany(CHUNK_ROWS):
            store.many(table.upsert_sql(), table.bind_all(map(tuple, chunk)))
    store.run("delete_staged")
    layers.refresh(store, layers.layered_rows(store))


def _finish(store: Store, state: State, token: str) -> None:
    """The synced tables equal the server at one instant: every edit applied before it shows by itself."""
    applied = {(row["resource_type"], row["row_id"]) for row in store.all("read_applied")}
    store.run("settle_entries")
    store.run("delete_old_settled", before=store.ago(days=SETTLED_DAYS))
    layers.refresh(store, applied)
    store.set_state(token=token, chain_token=None, replaces=None, complete=True, offer_again=False)
    if state.token is None:
        restored.rebase_on_older(store)
    if state.offer_again:
        restored.offer_again(store)
