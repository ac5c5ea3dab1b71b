"""Feeds: the SQL of a delta.

A page of a delta is ONE statement: who is calling and which scopes they hold, the snapshot it is all true in, and the
changes. One statement is one snapshot, so nothing needs a transaction around it, and one round trip.

The changes come from feeds, tried in a fixed order, each cheap to resume at a place:

``entered``   all rows of scope keys that the device did not hold;
``stayed``    rows of keys it did hold that changed since. By key: one probe of the index (key, changed, id) for each
              key. Or by change: along the index (changed, id), for many keys and few changes;
``left``      rows of keys it holds no longer, and of no key it holds, as removals;
``departed``  what was deleted from or moved out of keys it holds or held, as removals.

Each key's rows are read along an index in the order of the place, through a nested loop (the LATERAL with its own LIMIT
can be nothing else), so a page costs what it returns: nothing is sorted, nothing is read twice, and the outer LIMIT
stops the loops early. A row in two held scopes is sent by the first feed that finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec
from psycopg import sql

from homing.engine.bind import Bound
from homing.engine.scopes import DIGEST_SQL, NOTHING, ScopeSet, held_sql
from homing.engine.tables import BoundTable, ScopeKey
from homing.postgres.sql import Statement, load
from homing.protocol.token import Place, Snapshot

MANY_KEYS = 64
"""From so many held keys on, a feed may start from the changes instead of the keys."""

STATEMENTS_MAX = 400
"""Composed statements kept: one a combination of feeds with something in them. Fewer than a connection prepares."""

_KEYS = "ARRAY(SELECT json_array_elements_text(%(keys{0})s::text::json)){1}"
"""A feed's keys as an array: parameter and cast."""

_encode = msgspec.json.Encoder().encode

_ZERO = {
    "uuid": "00000000-0000-0000-0000-000000000000",
    "integer": "-2147483648",
    "smallint": "-32768",
    "bigint": "-9223372036854775808",
}


class Kind(IntEnum):
    ENTERED = 0
    STAYED = 1
    CHANGED = 2
    LEFT = 3
    DEPARTED = 4
    DEPARTED_ANY = 5


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of changes. ``number`` is its place in the order and stands in tokens."""

    number: int
    kind: Kind
    table: BoundTable | None = None
    key: ScopeKey | None = None
    key_index: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """What a page is asked to bring: from ``since`` (None: from nothing) with ``before`` and ``possible`` scopes, to
    ``until`` (None: now) with ``now`` scopes, narrowed to ``tables``."""

    since: Snapshot | None
    before: ScopeSet
    possible: ScopeSet
    until: Snapshot | None
    now: ScopeSet
    tables: tuple[int, ...] | None
    span: int
    """About how many transactions ran since the token: decides between the two ways into a feed of many keys."""


class Feeds:
    """All feeds of a catalogue, and the statements made of them."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._statements: dict[tuple[Any, ...], Statement] = {}
        self._feeds = tuple(self._enumerate())
        self.departed_from = len(self._feeds) - 2
        """Number of the first feed of departures."""

    def _enumerate(self) -> list[Feed]:
        found: list[Feed] = []
        for kind in (Kind.ENTERED, Kind.STAYED, Kind.CHANGED, Kind.LEFT):
            for table in self._bound.tables:
                for index, key in enumerate(table.scope_keys):
                    found.append(Feed(len(found), kind, table, key, index))
        found.append(Feed(len(found), Kind.DEPARTED))
        found.append(Feed(len(found), Kind.DEPARTED_ANY))
        return found

    def page(self, delta: Delta, place: Place | None, *, limit: int) -> tuple[Statement, dict[str, Any]]:
        """The statement of one page, and its parameters but the caller's."""
        params: dict[str, Any] = {"limit": limit}
        if delta.since is not None:
            params["since"] = str(delta.since)
        if delta.until is not None:
            params["until"] = str(delta.until)
        active: list[Feed] = []
        start = place.feed if place is not None else 0
        whole = self._tables_held_whole(delta.now)
        entered, left = delta.now - delta.before, (delta.before | delta.possible) - delta.now
        stayed = delta.now & delta.before
        gone = delta.before | delta.possible
        for feed in self._feeds:
            if feed.number < start:
                continue
            resumed = place if place is not None and feed.number == place.feed else None
            if feed.table is not None and delta.tables is not None and feed.table.id not in delta.tables:
                continue
            keys = self._keys(feed, entered, stayed, left, gone, whole)
            if not keys or (delta.since is None and feed.kind in (Kind.DEPARTED, Kind.DEPARTED_ANY)):
                continue
            if not self._chosen(feed, len(keys), delta.span):
                continue
            if resumed is not None and feed.kind not in (Kind.CHANGED, Kind.DEPARTED_ANY):
                keys = keys[keys.index(resumed.key) :]
            low = delta.since.xmin - 1 if delta.since is not None and feed.kind not in (Kind.ENTERED, Kind.LEFT) else 0
            n = feed.number
            # One JSON text, taken apart by PostgreSQL: an array would be written member by member in Python.
            params[f"keys{n}"] = _encode(keys).decode()
            params[f"low{n}"] = str(low)
            params[f"from{n}"] = str(resumed.changed) if resumed else str(low)
            zero = _ZERO.get(feed.table.key_type, "") if feed.table is not None else ""
            params[f"id{n}"] = resumed.row_id if resumed else zero
            if feed.table is None:
                params[f"table{n}"] = resumed.table_id if resumed else 0
            active.append(feed)
        if delta.tables is not None:
            params["tables"] = list(delta.tables)
        signature = (
            tuple(feed.number for feed in active),
            delta.since is not None,
            delta.until is not None,
            delta.tables is not None,
            not delta.possible.scopes,
        )
        statement = self._statements.get(signature)
        if statement is None:
            if len(self._statements) >= STATEMENTS_MAX:
                self._statements.clear()
            statement = self._statements[signature] = Statement(self._compose(active, delta))
        return statement, params

    def beginning(self, held: ScopeSet, tables: tuple[int, ...] | None, behind: Collection[int]) -> Place | None:
        """Where a first pull of ``held`` stands with the tables ``behind`` it: at the first feed of the first table
        that is not, in the order of the feeds. None: nothing is left to send."""
        whole = self._tables_held_whole(held)
        for feed in self._feeds:
            table = feed.table
            if feed.kind is not Kind.ENTERED or table is None or table.id in behind:
                continue
            if tables is not None and table.id not in tables:
                continue
            keys = self._keys(feed, held, NOTHING, NOTHING, NOTHING, whole)
            if keys:
                return Place(feed.number, keys[0], 0, _ZERO.get(table.key_type, ""), table.id)
        return None

    def _tables_held_whole(self, now: ScopeSet) -> dict[int, int]:
        """Table id → index of the constant key by which its every row is held: later keys of it bring nothing."""
        held: dict[int, int] = {}
        for table in self._bound.tables:
            for index, key in enumerate(table.scope_keys):
                if key.constant and now.keys.get(key.scope) == [key.expression.strip("'")]:
                    held.setdefault(table.id, index)
        return held

    @staticmethod
    def _keys(
        feed: Feed, entered: ScopeSet, stayed: ScopeSet, left: ScopeSet, gone: ScopeSet, whole: Mapping[int, int]
    ) -> list[str]:
        if feed.table is None:
            return list(gone.scopes)
        assert feed.key is not None
        if feed.kind is Kind.LEFT:
            return left.keys.get(feed.key.scope, [])
        if whole.get(feed.table.id, feed.key_index) != feed.key_index:
            return []
        source = entered if feed.kind is Kind.ENTERED else stayed
        return source.keys.get(feed.key.scope, [])

    @staticmethod
    def _chosen(feed: Feed, keys: int, span: int) -> bool:
        """Between the twin feeds (by key, by change): the one that reads less. The same along a whole delta, because
        the scopes and ``span`` are."""
        if feed.kind not in (Kind.STAYED, Kind.CHANGED, Kind.DEPARTED, Kind.DEPARTED_ANY):
            return True
        return (keys >= MANY_KEYS and span < 4 * keys) is (feed.kind in (Kind.CHANGED, Kind.DEPARTED_ANY))

    # ------------------------------------------------------------------------------------------------ composing

    def _compose(self, active: Sequence[Feed], delta: Delta) -> sql.Composable:
        branches = [self._branch(feed, delta) for feed in active]
        page: sql.Composable = sql.SQL("")
        if branches:
            page = sql.SQL(
                " UNION ALL SELECT * FROM (SELECT * FROM ({}) AS feeds(feed, key, changed, id, table_id, change)"
                " LIMIT %(limit)s) AS page"
            ).format(sql.SQL(" UNION ALL ").join(branches))
        return sql.SQL(
            "WITH who AS ({who}), held(scope) AS (SELECT h.scope FROM ({held}) AS h(scope)"
            # Policies ask who is calling. A condition on no row is settled before any row is read (a one-time filter).
            " WHERE (SELECT set_config('homing.actor', %(user)s::text, true)) IS NOT NULL),"
            " digest AS (SELECT {digest} AS digest FROM held)"
            " SELECT -1, NULL::text, NULL::text, NULL::text, NULL::int, json_build_object("
            "'who', (SELECT row_to_json(w) FROM who w),"
            " 'snapshot', pg_current_snapshot()::text, 'epoch', e.epoch, 'floor', e.floor::text,"
            " 'reason', e.reason, 'digest', encode(d.digest, 'hex'),"
            " 'scopes', CASE WHEN d.digest <> %(guess)s::bytea THEN (SELECT coalesce(json_agg(scope), '[]')"
            " FROM held) END)::text"
            " FROM homing.epoch e, digest d{page}"
        ).format(
            who=sql.SQL(load(__package__, "is_caller")),
            held=held_sql(self._bound.scope_names()),
            digest=sql.SQL(DIGEST_SQL),
            page=page,
        )

    def _branch(self, feed: Feed, delta: Delta) -> sql.Composable:
        if feed.kind is Kind.DEPARTED:
            return self._departed(feed, delta, any_scope=False)
        if feed.kind is Kind.DEPARTED_ANY:
            return self._departed(feed, delta, any_scope=True)
        table, key = feed.table, feed.key
        assert table is not None
        assert key is not None
        conditions: list[sql.Composable] = []
        if feed.kind in (Kind.ENTERED, Kind.STAYED, Kind.CHANGED) and delta.until is not None:
            conditions.append(sql.SQL("pg_visible_in_snapshot(t.changed, %(until)s::pg_snapshot)"))
        if feed.kind in (Kind.STAYED, Kind.CHANGED):
            conditions.append(sql.SQL("NOT pg_visible_in_snapshot(t.changed, %(since)s::pg_snapshot)"))
        if feed.kind is Kind.LEFT:
            conditions.append(sql.SQL("NOT {}").format(table.held_sql()))
            if delta.since is not None and not delta.possible.scopes:
                # Made after the device's snapshot, so it never had it: naming it would tell of a row it may not see.
                conditions.append(
                    sql.SQL("NOT (t.{} = 1 AND NOT pg_visible_in_snapshot(t.changed, %(since)s::pg_snapshot))").format(
                        table.version_sql
                    )
                )
        else:
            conditions += [
                sql.SQL("((({}) IN ({})) IS NOT TRUE)").format(
                    sql.SQL(earlier.expression),
                    sql.SQL(earlier.held_by),
                )
                for earlier in table.scope_keys[: feed.key_index]
            ]
        parts: dict[str, sql.Composable] = {
            "n": sql.Literal(feed.number),
            "keys": sql.SQL(_KEYS.format(feed.number, f"::{key.sql_type}[]")),
            "from": sql.SQL(f"%(from{feed.number})s::text::xid8"),
            "low": sql.SQL(f"%(low{feed.number})s::text::xid8"),
            "id": sql.SQL(f"%(id{feed.number})s::text::{table.key_type}"),
            "zero": sql.SQL("{}::text::" + table.key_type).format(sql.Literal(_ZERO.get(table.key_type, ""))),
            "table": table.qualified,
            "table_id": sql.Literal(table.id),
            "pk": sql.Identifier(table.key.name),
            "key": sql.SQL(key.expression),
            # Only who says so gets the index on the stamp alone (stamps.py): a feed by key must go by its key's index,
            # whatever the planner believed of the table when it made the plan.
            "every": sql.SQL("t.{} >= 1 AND ").format(table.version_sql)
            if key.constant or feed.kind is Kind.CHANGED
            else sql.SQL(""),
            "change": self._removal(table) if feed.kind is Kind.LEFT else self._change(table),
            "payload": sql.SQL("")
            if feed.kind is Kind.LEFT
            else sql.SQL(" CROSS JOIN LATERAL (SELECT {}) AS homing_payload").format(table.payload_columns()),
            "and": sql.SQL(" AND ").join([sql.SQL(""), *conditions]) if conditions else sql.SQL(""),
        }
        if feed.kind is Kind.CHANGED:
            return sql.SQL(
                "(SELECT {n}, NULL::text, t.changed::text, t.{pk}::text, {table_id}, {change} FROM ("
                "SELECT t.* FROM {table} AS t"
                " WHERE {every}(t.changed, t.{pk}) > ({from}, {id})"
                " AND ((({key}) IN (SELECT unnest({keys}))) IS TRUE){and}"
                " ORDER BY t.changed, t.{pk} LIMIT %(limit)s) AS t{payload})"
            ).format(**parts)
        return sql.SQL(
            "SELECT {n}, k.key::text, t.changed::text, t.{pk}::text, {table_id}, {change}"
            " FROM unnest({keys}) WITH ORDINALITY AS k(key, n) CROSS JOIN LATERAL ("
            "SELECT t.* FROM {table} AS t"
            " WHERE {every}({key}) = k.key AND (t.changed, t.{pk}) >"
            " (CASE WHEN k.n = 1 THEN {from} ELSE {low} END,"
            " CASE WHEN k.n = 1 THEN {id} ELSE {zero} END){and}"
            " ORDER BY t.changed, t.{pk} LIMIT %(limit)s) AS t{payload}"
        ).format(**parts)

    @staticmethod
    def _change(table: BoundTable) -> sql.Composable:
        """One change as JSON text. Written with || and few pieces: it is made for every row of every pull."""
        named = f'","resource_type":"{table.resource_type}","action":'
        return sql.SQL(
            "{head} || CASE WHEN t.{version} = 1 THEN {create} ELSE {update} END || row_to_json(homing_payload)::text"
            " || ',\"server_version\":' || t.{version} || '}}'"
        ).format(
            head=_id_member(table),
            version=table.version_sql,
            create=sql.Literal(f'{named}"create","payload":'),
            update=sql.Literal(f'{named}"update","payload":'),
        )

    @staticmethod
    def _removal(table: BoundTable) -> sql.Composable:
        return sql.SQL("{head} || {rest}").format(
            head=_id_member(table),
            rest=sql.Literal(
                f'","resource_type":"{table.resource_type}","action":"delete","payload":null,'
                '"server_version":null,"reason":"out_of_scope"}'
            ),
        )

    def _departed(self, feed: Feed, delta: Delta, *, any_scope: bool) -> sql.Composable:
        tables = self._bound.tables
        # Made after S1, under the id of a row that was deleted: at S1 the device has nothing, so the old row goes. The
        # next delta cannot see to it: if the new row is held no longer by then, it was never the device's (LEFT).
        made_later = (
            sql.SQL(" AND NOT (t.{} = 1 AND NOT pg_visible_in_snapshot(t.changed, %(until)s::pg_snapshot))")
            if delta.until is not None
            else None
        )
        alive, held = (
            sql.SQL("CASE d.table_id {} ELSE false END").format(
                sql.SQL(" ").join(
                    sql.SQL("WHEN {} THEN EXISTS (SELECT FROM {} AS t WHERE t.{} = d.row_id::{}{}{})").format(
                        sql.Literal(table.id),
                        table.qualified,
                        sql.Identifier(table.key.name),
                        sql.SQL(table.key_type),
                        sql.SQL(" AND {}").format(table.held_sql()) if with_held else sql.SQL(""),
                        made_later.format(table.version_sql) if with_held and made_later else sql.SQL(""),
                    )
                    for table in tables
                )
            )
            for with_held in (False, True)
        )
        names = sql.SQL("CASE d.table_id {} END").format(
            sql.SQL(" ").join(
                sql.SQL("WHEN {} THEN {}").format(sql.Literal(t.id), sql.Literal(f'"{t.resource_type}"'))
                for t in tables
            )
        )
        parts: dict[str, sql.Composable] = {
            "n": sql.Literal(feed.number),
            "keys": sql.SQL(_KEYS.format(feed.number, "")),
            "from": sql.SQL(f"%(from{feed.number})s::text::xid8"),
            "low": sql.SQL(f"%(low{feed.number})s::text::xid8"),
            "tid": sql.SQL(f"%(table{feed.number})s::int"),
            "id": sql.SQL(f"%(id{feed.number})s::text"),
            "change": sql.SQL(
                "concat('{{\"id\":', to_json(d.row_id), ',\"resource_type\":', {names},"
                ' \',"action":"delete","payload":null,"server_version":null,"reason":"\','
                " CASE WHEN {alive} THEN 'out_of_scope' ELSE 'deleted' END, '\"}}')"
            ).format(names=names, alive=alive),
            "and": sql.SQL(
                " AND NOT pg_visible_in_snapshot(d.xid, %(since)s::pg_snapshot) AND NOT {held}"
                " AND d.table_id = ANY({ids})"
            ).format(
                held=held,
                ids=sql.SQL("%(tables)s::int[]")
                if delta.tables is not None
                else sql.Literal([table.id for table in tables]),
            ),
        }
        if any_scope:
            return sql.SQL(
                "(SELECT {n}, d.scope, d.xid::text, d.row_id, d.table_id, {change} FROM homing.departures AS d"
                " WHERE length(d.row_id) >= 0 AND (d.xid, d.table_id, d.row_id) > ({from}, {tid}, {id})"
                " AND ((d.scope IN (SELECT unnest({keys}))) IS TRUE){and}"
                " ORDER BY d.xid, d.table_id, d.row_id LIMIT %(limit)s)"
            ).format(**parts)
        return sql.SQL(
            "SELECT {n}, s.scope, r.xid, r.row_id, r.table_id, r.change"
            " FROM unnest({keys}) WITH ORDINALITY AS s(scope, n) CROSS JOIN LATERAL ("
            "SELECT d.xid::text AS xid, d.row_id, d.table_id, {change} AS change FROM homing.departures AS d"
            " WHERE d.scope = s.scope AND (d.xid, d.table_id, d.row_id) >"
            " (CASE WHEN s.n = 1 THEN {from} ELSE {low} END,"
            " CASE WHEN s.n = 1 THEN {tid} ELSE 0 END, CASE WHEN s.n = 1 THEN {id} ELSE '' END){and}"
            " ORDER BY d.xid, d.table_id, d.row_id LIMIT %(limit)s) AS r"
        ).format(**parts)


def _id_member(table: BoundTable) -> sql.Composable:
    """``{"id":"…`` without the closing quote. Only a text key may hold what JSON has to escape."""
    key = sql.SQL("t.{}::text").format(sql.Identifier(table.key.name))
    if table.key_type in _ZERO:
        return sql.SQL('\'{{"id":"\' || {}').format(key)
    return sql.SQL("'{{\"id\":' || left(to_json({})::text, -1)").format(key)
