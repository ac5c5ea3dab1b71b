"""What each user of the CRM may see, in SQL of its own, and the trail replayed onto nothing.

Nothing of the engine or of the application is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

_MINE = "EXISTS (SELECT FROM homing.users u WHERE u.id = %(user)s AND u.role = 'OWNER')"
_JOBS = "(SELECT a.job_id FROM crm.job_assignments a WHERE a.user_id = %(user)s)"
_JOB = """SELECT id, title, description, customer_id, status, start_date, end_date, notes, created_by_id, created_at,
                 updated_at, version FROM crm.jobs"""

SCOPES: Mapping[str, LiteralString] = {
    "customer": "SELECT c.* FROM crm.customers c"
    f" WHERE {_MINE} OR c.id IN (SELECT j.customer_id FROM crm.jobs j WHERE j.id IN {_JOBS})",
    "job": f"{_JOB} WHERE {_MINE} OR id IN {_JOBS}",
    "job_assignment": f"SELECT t.* FROM crm.job_assignments t WHERE {_MINE} OR t.job_id IN {_JOBS}",
    "material": f"SELECT t.* FROM crm.materials t WHERE {_MINE} OR t.job_id IN {_JOBS}",
    "job_status_history": f"SELECT t.* FROM crm.job_status_history t WHERE {_MINE} OR t.job_id IN {_JOBS}",
    "job_activity": f"SELECT t.* FROM crm.job_activities t WHERE {_MINE} OR t.job_id IN {_JOBS}",
}
_FOLLOWS = "{version,changed,updated_at,updated_by_id}"
TABLES = {"customer": "customers", "job": "jobs", "job_assignment": "job_assignments", "material": "materials"}


@dataclass(frozen=True, slots=True)
class Told:
    """``rows`` by kind as the tables have them; ``unexplained``: one sentence for each thing that the ``entries`` of
    the trail do not give."""

    entries: int
    rows: Mapping[str, int]
    unexplained: tuple[str, ...]


def explain(database_url: str) -> Told:
    """Replay crm.activity_logs onto nothing, and compare what comes out with the tables, all in one snapshot."""
    with psycopg.connect(database_url, row_factory=dict_row) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        entries = conn.execute(
            "SELECT entity_type, entity_id::text, action, details, user_id::text FROM crm.activity_logs"
            " ORDER BY created_at"
        ).fetchall()
        replayed, steps = _replay(entries)
        wrong: list[str] = []
        rows: dict[str, int] = {}
        for kind, table in TABLES.items():
            query = f"SELECT id::text, to_jsonb(t) - '{_FOLLOWS}'::text[] AS row FROM crm.{table} t"
            there = {each["id"]: each["row"] for each in conn.execute(query)}
            rows[kind] = len(there)
            wrong += _differences(kind, replayed.get(kind, {}), there)
        history = conn.execute(
            "SELECT job_id::text, from_status, to_status, changed_by_id::text FROM crm.job_status_history"
        ).fetchall()
        if sorted(steps) != sorted(tuple(map(str, each.values())) for each in history):
            wrong.append("the status history is not what the trail of the jobs says")
        outside = sum(1 for each in entries if each["user_id"] == "00000000-0000-4000-8000-00000000c0de")
        if outside:
            wrong.append(f"{outside} entries name nobody")
    return Told(len(entries), rows, tuple(wrong))


def _replay(entries: list[dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[tuple[str, ...]]]:
    """Kind → id → row, and every step of a job as (job, from, to, by whom)."""
    tables: dict[str, dict[str, Any]] = {}
    steps: list[tuple[str, ...]] = []
    for entry in entries:
        rows, row_id, details = tables.setdefault(entry["entity_type"], {}), entry["entity_id"], entry["details"]
        match entry["action"]:
            case "create":
                rows[row_id] = dict(details["new"])
            case "update":
                rows[row_id].update(details["new"])
                if entry["entity_type"] == "job" and "status" in details["new"]:
                    steps.append((row_id, details["old"]["status"], details["new"]["status"], entry["user_id"]))
            case "delete":
                del rows[row_id]
    return tables, steps


def _differences(kind: str, replayed: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    found = [f"the trail does not tell of {kind} {row_id}" for row_id in sorted(there.keys() - replayed.keys())]
    found += [f"the trail tells of {kind} {row_id}, which is gone" for row_id in sorted(replayed.keys() - there.keys())]
    found += [
        f"{kind} {row_id} is {there[row_id]}, and by the trail {replayed[row_id]}"
        for row_id in sorted(there.keys() & replayed.keys())
        if there[row_id] != replayed[row_id]
    ]
    return found
