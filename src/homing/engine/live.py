"""Live: what changed between two snapshots, read once for everybody who is connected.

A pull asks what one user may see and has not. With five thousand users connected that question would be asked five
thousand times for one changed row. So a node asks the other way round: *which rows changed, and in which scopes are
they now*. One statement is a **round**: it takes the hub from its snapshot S to S', along the indexes on the stamp,
and reads each row that changed with its scopes, and each departure. Whom that concerns is looked up in memory
(``live_audience.py``); whether they are still allowed it is asked of the database for all of them at once
(``live_callers.py``); then it is sent.

Why this is exact. A subscriber is kept at: *the client equals the rows of scopes D as S saw them*. For a row that
changed and is in a scope of D at S', the client gets the row. For a departure from a scope of D since S whose row is in
no scope of D at S', it gets a removal. No other row of D differs between S and S'. So the client equals the rows of D
at S', and its token is (S', D): a pull from there, or a later round, goes on without a gap. The current scopes of a
departed row need no reading: a row that left a scope and lives was written by a transaction that S did not see either,
so it is among the changed ones.

Nothing above asks whether D is still what the user holds. It is asked before anything is sent, at or after S', and of
everybody in turns. A subscriber whose scopes changed leaves the rounds, gets what is due to it by ordinary pulls,
which know how to enter and leave scopes (``pull.py``), and joins again. So does one that was away for longer than the
rounds that are remembered, and everybody when a round would be too large. Getting a row twice is harmless: what is
sent is the row at an instant, and instants only go forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.bind import Bound
from homing.engine.feeds import Feeds
from homing.engine.live_callers import Asked, fallen_sql
from homing.engine.pull import format_time
from homing.engine.tables import BoundTable
from homing.postgres.sql import Answer, Call, Connection, Statement, array, fetch_all, load, quoted
from homing.protocol.token import Snapshot

ROUND_ROWS_MAX = 2000
"""Rows of one table, or departures, that a round reads. With more, everybody pulls: pages are made for that."""


class Change(msgspec.Struct):
    """One change as a pull's page holds it."""

    id: str
    resource_type: str
    action: str
    payload: msgspec.Raw
    server_version: int | None
    reason: str | None = None


decode_change = msgspec.json.Decoder(Change).decode
_decode_scopes = msgspec.json.Decoder(list[str | None]).decode
_encode = msgspec.json.Encoder().encode


def message_core(change: Change, *, at: datetime, actor: str | None) -> bytes:
    """An ``entity_update`` but its last two members, which differ from client to client (``finish``)."""
    reason = b"" if change.reason is None else b',"reason":%b' % _encode(change.reason)
    return b'{"type":"entity_update","entity":%b,"id":%b,"action":"%b","data":%b,"server_version":%b%b,%b' % (
        _encode(change.resource_type),
        _encode(change.id),
        change.action.encode(),
        bytes(change.payload),
        _encode(change.server_version),
        reason,
        b'"timestamp":"%b","userId":%b' % (format_time(at).encode(), _encode(actor)),
    )


MORE = b',"has_more":true,"next_token":"'
LAST = b',"has_more":false,"next_token":"'
END = b'"}'


@dataclass(frozen=True, slots=True)
class Row:
    """A row that changed: where it is now, and its message's core."""

    key: tuple[int, str]
    scopes: frozenset[str]
    core: bytes


@dataclass(frozen=True, slots=True)
class Departure:
    """A row that left ``scope``, and the core of the removal to send to whom it left."""

    key: tuple[int, str]
    scope: str
    core: bytes


@dataclass(frozen=True, slots=True)
class Resolved:
    """A conflict that was decided; ``user``: whose edit it was. ``message`` is whole."""

    user: UUID | None
    message: bytes


@dataclass(frozen=True, slots=True)
class Notified:
    """A notification that was caused; ``user``: whose it is. ``message`` is whole."""

    user: UUID
    message: bytes


@dataclass(frozen=True, slots=True)
class Round:
    """Everything between two snapshots. ``before`` None: the first, which only says where the hub begins.

    ``fallen``: places of those who were asked about and may not go on as before (``live_callers.py``). ``whole``:
    nothing was left out; otherwise ``rows`` and ``departures`` are of no use.
    """

    before: Snapshot | None
    snapshot: Snapshot
    epoch: UUID
    at: datetime
    rows: Sequence[Row] = ()
    departures: Sequence[Departure] = ()
    presence: Sequence[bytes] = ()
    resolved: Sequence[Resolved] = ()
    notified: Sequence[Notified] = ()
    fallen: Sequence[int] = ()
    whole: bool = True


class _Info(msgspec.Struct):
    snapshot: str
    epoch: UUID


_info = msgspec.json.Decoder(_Info)


class Reader:
    """Reads rounds of one database, with statements composed once."""

    def __init__(self, bound: Bound, *, rows_max: int = ROUND_ROWS_MAX) -> None:
        self._tables = {table.id: table for table in bound.tables}
        self._rows_max = rows_max
        branches = [_INFO, *map(_rows, bound.tables), _departures(bound), _PRESENCE, _RESOLVED, _NOTIFIED]
        self._first = Statement(_INFO)
        self._next = Statement(_union(branches))
        self._next_of = Statement(_union([*branches, _FALLEN.format(fallen_sql(bound))]))

    def ask(
        self,
        before: Snapshot | None,
        asked: Asked | None = None,
        *,
        made: Sequence[str] = (),
        user: UUID | None = None,
    ) -> Call:
        """What changed since ``before``, and who of those who are ``asked`` about has fallen; ``collect`` reads the
        answer. To be run by the owner, along indexes. ``made``: rows (table's id, colon, key) that are known to be made
        by ``user``, as long as they are at their first version: that spares a look into the history."""
        if before is None:
            return self._first.call({})
        since = {
            "since": str(before),
            "low": str(before.xmin),
            "limit": self._rows_max,
            "made": array(map(quoted, made)),
            "user": None if user is None else str(user),
        }
        return self._next.call(since) if asked is None else self._next_of.call({**since, **asked})

    def collect(self, answer: Answer, before: Snapshot | None, *, at: datetime) -> Round:
        """The round."""
        result: Any = answer.result
        value = result.get_value
        counts: dict[tuple[bytes, bytes], int] = {}
        rows: dict[tuple[int, str], Row] = {}
        departed: list[tuple[tuple[int, str], str, str | None]] = []
        presence: list[bytes] = []
        resolved: list[Resolved] = []
        notified: list[Notified] = []
        fallen: list[int] = []
        info = None
        for n in range(result.ntuples):
            kind, table, row_id, text, scopes, actor = (value(n, column) for column in range(6))
            counts[kind, table] = counts.get((kind, table), 0) + 1
            match kind:
                case b"0":
                    info = _info.decode(text)
                case b"1":
                    key = (int(table), row_id.decode())
                    held = frozenset(scope for scope in _decode_scopes(scopes) if scope is not None)
                    rows[key] = Row(key, held, message_core(decode_change(text), at=at, actor=_person(actor)))
                case b"2":
                    departed.append(((int(table), row_id.decode()), text.decode(), _person(actor)))
                case b"3":
                    presence.append(text)
                case b"6":
                    fallen.append(int(table) - 1)
                case b"5":
                    notified.append(Notified(UUID(actor.decode()), text))
                case _:
                    resolved.append(Resolved(None if actor is None else UUID(actor.decode()), text))
        assert info is not None
        whole = all(count < self._rows_max for (kind, _), count in counts.items() if kind in (b"1", b"2"))
        departures = [
            Departure(key, scope, message_core(self._removal(key, alive=key in rows), at=at, actor=actor))
            for key, scope, actor in departed
        ]
        return Round(
            before,
            Snapshot.parse(info.snapshot),
            info.epoch,
            at,
            rows=list(rows.values()),
            departures=departures,
            presence=presence,
            resolved=resolved,
            notified=notified,
            fallen=fallen,
            whole=whole,
        )

    def _removal(self, key: tuple[int, str], *, alive: bool) -> Change:
        name = self._tables[key[0]].resource_type
        return Change(key[1], name, "delete", msgspec.Raw(b"null"), None, "out_of_scope" if alive else "deleted")


def _person(actor: bytes | None) -> str | None:
    """Who, if a user: the history also knows 'outside'."""
    return None if actor is None or len(actor) != 36 else actor.decode()


async def find_actors(conn: Connection, bound: Bound, changes: Sequence[Change]) -> list[str | None]:
    """Who made each change of a page. Of a row that left somebody's scopes that is not known: it was not written."""
    known = bound.by_resource_type
    rows = [{"n": n, "table_id": known[each.resource_type].id, "row_id": each.id} for n, each in enumerate(changes)]
    found = await fetch_all(conn, load(__package__, "live_actors"), {"rows": msgspec.json.encode(rows).decode()})
    return [
        None if actor is None or each.reason == "out_of_scope" else _person(actor.encode())
        for each, (actor,) in zip(changes, found, strict=True)
    ]


# Columns: kind, table, row, text, scopes, who.
_INFO = sql.SQL(
    "SELECT 0, NULL::int, NULL::text,"
    " json_build_object('snapshot', pg_current_snapshot()::text, 'epoch', e.epoch)::text,"
    " NULL::text, NULL::text FROM homing.epoch AS e"
)

_SINCE = "{0} >= %(low)s::text::xid8 AND NOT pg_visible_in_snapshot({0}, %(since)s::text::pg_snapshot)"


def _rows(table: BoundTable) -> sql.Composable:
    """What changed in one table, along its index on the stamp (``feeds.py`` tells why the condition on the version).
    The scopes are made where only the table's own columns are in sight, as in the triggers."""
    scopes = sql.SQL(", ").join(
        sql.SQL("{} || (({})::text)").format(sql.Literal(f"{key.scope}:"), sql.SQL(key.expression))
        for key in table.scope_keys
    )
    return sql.SQL(
        "(SELECT 1, {id}, t.{pk}::text, {change}, t.homing_scopes,"
        " CASE WHEN t.{version} = 1 AND {prefix} || t.{pk}::text = ANY (%(made)s::text::text[]) THEN %(user)s::text"
        " ELSE homing.actor_of({id}, t.{pk}::text) END FROM ("
        "SELECT t.*, json_build_array({scopes})::text AS homing_scopes FROM {table} AS t"
        " WHERE t.{version} >= 1 AND {since} ORDER BY t.changed, t.{pk} LIMIT %(limit)s) AS t"
        " CROSS JOIN LATERAL (SELECT {payload}) AS homing_payload)"
    ).format(
        id=sql.Literal(table.id),
        prefix=sql.Literal(f"{table.id}:"),
        pk=sql.Identifier(table.key.name),
        change=Feeds._change(table),
        scopes=scopes,
        table=table.qualified,
        version=table.version_sql,
        since=sql.SQL(_SINCE.format("t.changed")),
        payload=table.payload_columns(),
    )


def _departures(bound: Bound) -> sql.Composable:
    return sql.SQL(
        "(SELECT 2, d.table_id, d.row_id, d.scope, NULL, homing.actor_of(d.table_id, d.row_id)"
        " FROM homing.departures AS d"
        " WHERE length(d.row_id) >= 0 AND {since} AND d.table_id = ANY({ids})"
        " ORDER BY d.xid, d.table_id, d.row_id LIMIT %(limit)s)"
    ).format(
        since=sql.SQL(_SINCE.format("d.xid")),
        ids=sql.Literal([table.id for table in bound.tables]),
    )


_FALLEN = sql.SQL("(SELECT 6, f.n, NULL, NULL, NULL, NULL FROM ({}) AS f (n))")


def _union(branches: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL(" UNION ALL ").join(branches)


_TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""

_PRESENCE = sql.SQL(
    "(SELECT 3, NULL, NULL, json_build_object('type', 'presence', 'userId', p.user_id, 'online_status', p.online,"
    " 'last_seen', " + _TIME.format("p.last_seen") + ")::text, NULL, NULL FROM homing.presence AS p"
    " WHERE " + _SINCE.format("p.changed") + " LIMIT %(limit)s)"
)

_RESOLVED = sql.SQL(
    "(SELECT 4, NULL, NULL, json_build_object('type', 'conflict_resolved', 'id', c.id, 'resource_type',"
    " c.resource_type, 'row_id', c.row_id, 'resolution', c.resolution_action, 'resolved_by', c.resolved_by,"
    " 'resolved_at', " + _TIME.format("c.resolved_at") + ", 'notes', c.notes)::text, NULL, c.user_id::text"
    " FROM homing.conflicts AS c WHERE c.settled IS NOT NULL AND " + _SINCE.format("c.settled") + " LIMIT %(limit)s)"
)

_NOTIFIED = sql.SQL(
    "(SELECT 5, NULL, NULL, json_build_object('type', 'notification', 'id', n.id, 'notification_type',"
    " n.notification_type, 'title', n.title, 'body', n.body, 'data', n.data, 'sent_at', "
    + _TIME.format("n.sent_at")
    + ")::text, NULL, n.user_id::text FROM homing.push_notifications AS n WHERE "
    + _SINCE.format("n.caused")
    + " ORDER BY n.caused, n.id LIMIT %(limit)s)"
)
