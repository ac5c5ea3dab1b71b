"""Proposals: the terms are the freelancer's to say, the decision is the client's.

What a decision brings about (the job begins, the others are rejected) the database does in the same transaction,
whoever writes (``schema/0001_marketplace.sql``, begin_jobs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from homing.declare import Edit, Who
from homing.postgres.sql import Connection, fetch_all, load

TERMS: Final = ("cover_letter", "amount_cents", "currency", "estimated_days")
STATUS: Final = ("status",)
DECISIONS: Final = frozenset({"shortlisted", "accepted", "rejected"})


async def may_write_proposals(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Refuse a proposal to oneself, and words of one side that are the other's to say."""
    if who.role == "OWNER":
        return
    new = [edit for edit in edits if edit.action == "create" and edit.values.get("job_id") is not None]
    ids = list({UUID(edit.values["job_id"]) for edit in new})
    params = {"ids": ids, "user": who.user_id}
    own = {row[0] for row in await fetch_all(conn, load(__package__, "find_own_jobs"), params)} if ids else set()
    for edit in new:
        if UUID(edit.values["job_id"]) in own:
            edit.refuse("check_failed", "this job is your own", "/job_id")
    for edit in edits:
        if edit.action == "update" and edit.old is not None:
            _check_words(edit, edit.old["freelancer_id"] == str(who.user_id))


def _check_words(edit: Edit, freelancer: bool) -> None:
    assert edit.old is not None
    status = edit.values.get("status", edit.old["status"])
    if freelancer:
        if status not in ("withdrawn", edit.old["status"]):
            edit.refuse("forbidden", "the client decides about a proposal; it can be withdrawn", "/status")
        return
    if status not in DECISIONS | {edit.old["status"]}:
        edit.refuse("forbidden", f"a client can say {', '.join(sorted(DECISIONS))}", "/status")
    for column in TERMS:
        if column in edit.values:
            edit.refuse("forbidden", "the terms of a proposal are the freelancer's", f"/{column}")
