"""The proof: what a replica holds, row for row and value for value, is what the database says its user may see.

Nothing of the engine is asked: the rows come by SQL that is written out here, scope by scope, and their values are put
into wire form by a few lines of their own. If the engine and this page ever disagree, the demo fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import dict_row

_MINE = "EXISTS (SELECT FROM homing.users u WHERE u.id = %(user)s AND u.role = 'OWNER')"
_TEAMS = "(SELECT m.team_id FROM fieldwork.team_members m WHERE m.user_id = %(user)s)"

SCOPES: Mapping[str, LiteralString] = {
    "team": f"SELECT t.* FROM fieldwork.teams t WHERE {_MINE} OR t.id IN {_TEAMS}",
    "mobile_form": "SELECT f.* FROM fieldwork.mobile_forms f WHERE f.published",
    "form_version": "SELECT v.* FROM fieldwork.form_versions v",
    "submission": f"SELECT s.* FROM fieldwork.submissions s"
    f" WHERE {_MINE} OR s.team_id IN {_TEAMS} OR s.author_id = %(user)s",
    "submission_media": "SELECT m.*, fieldwork.gps_lat(m.gps) AS lat, fieldwork.gps_lon(m.gps) AS lon"
    f" FROM fieldwork.submission_media m WHERE {_MINE} OR m.team_id IN {_TEAMS} OR m.author_id = %(user)s",
    "meter": f"SELECT m.* FROM fieldwork.meters m WHERE {_MINE} OR m.team_id IN {_TEAMS}",
}
"""What each user may see of each table of fieldwork, as this demo means it."""

_WRITTEN_WITH = (
    "(SELECT p.sender_id FROM messaging.messages p WHERE p.recipient_id = %(user)s"
    " UNION SELECT p.recipient_id FROM messaging.messages p WHERE p.sender_id = %(user)s)"
)

MESSAGING: Mapping[str, LiteralString] = {
    "message": "SELECT m.* FROM messaging.messages m WHERE %(user)s IN (m.sender_id, m.recipient_id)",
    "contact": "SELECT c.* FROM messaging.contacts c WHERE c.user_type = 'web' OR c.id = %(user)s"
    " OR (SELECT o.user_type FROM homing.users o WHERE o.id = %(user)s) = 'web'"
    f" OR c.id IN {_WRITTEN_WITH}",
}
"""And of messaging."""

_NEVER_TRAVEL = frozenset({"changed", "draft_schema", "place", "lat", "lon"})


@dataclass(frozen=True, slots=True)
class Proof:
    """``rows`` by table as the database has them; ``wrong``: one sentence for each row that differs."""

    rows: Mapping[str, int]
    wrong: tuple[str, ...]


def prove(database_url: str, user_id: str, replica: Path, *, scopes: Mapping[str, LiteralString] = SCOPES) -> Proof:
    """Compare a replica file with the scopes of its user, all tables in one snapshot of the database."""
    rows: dict[str, int] = {}
    wrong: list[str] = []
    held = read_replica(replica)
    with psycopg.connect(database_url, row_factory=dict_row) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for resource_type, query in scopes.items():
            due = {}
            for row in conn.execute(query, {"user": UUID(user_id)}):
                version = row.pop("row_version" if resource_type == "mobile_form" else "version")
                key = row["entity" if resource_type == "offline_cache_metadata" else "id"]
                due[str(key)] = (version, _wire(row))
            rows[resource_type] = len(due)
            wrong += _differences(resource_type, due, held.pop(resource_type, {}))
    wrong += [f"{resource_type}: the replica holds {len(extra)} rows of it" for resource_type, extra in held.items()]
    return Proof(rows, tuple(wrong))


def read_replica(replica: Path) -> dict[str, dict[str, tuple[int, dict[str, Any]]]]:
    """Table → id → (version, values) of what the server sent, from the SQLite file itself."""
    held: dict[str, dict[str, tuple[int, dict[str, Any]]]] = {}
    connection = sqlite3.connect(f"{replica.resolve().as_uri()}?mode=ro", uri=True)
    try:
        for resource_type, row_id, version, payload in connection.execute(
            "SELECT resource_type, id, version, payload FROM _base"
        ):
            held.setdefault(resource_type, {})[row_id] = (version, msgspec.json.decode(payload))
    finally:
        connection.close()
    return held


def _differences(resource_type: str, due: Mapping[str, Any], held: Mapping[str, Any]) -> list[str]:
    found = [f"{resource_type} {row_id} is missing" for row_id in sorted(due.keys() - held.keys())]
    found += [f"{resource_type} {row_id} should have left" for row_id in sorted(held.keys() - due.keys())]
    found += [
        f"{resource_type} {row_id} is {held[row_id]}, not {due[row_id]}"
        for row_id in sorted(due.keys() & held.keys())
        if due[row_id] != held[row_id]
    ]
    return found


def _wire(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _value(value) for name, value in row.items() if name not in _NEVER_TRAVEL}
    if "gps" in values:
        values["gps"] = {"lat": row["lat"], "lon": row["lon"]} if row["lat"] is not None else None
    return values


def _value(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case _:
            return value
