"""Messages between two people of the marketplace, about a job or not."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from homing.declare import Edit, Who
from homing.postgres.sql import Connection, fetch_all, load


async def may_send_and_read(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Refuse messages to nobody or to oneself, and reading what was sent to somebody else."""
    new = [edit for edit in edits if edit.action == "create" and edit.values.get("recipient_id") is not None]
    ids = list({UUID(edit.values["recipient_id"]) for edit in new})
    found = await fetch_all(conn, load(__package__, "find_recipients"), {"ids": ids}) if ids else []
    there = {row[0] for row in found} - {who.user_id}
    for edit in new:
        if UUID(edit.values["recipient_id"]) not in there:
            edit.refuse("fk_missing", "there is nobody else with this id who can be written to", "/recipient_id")
    for edit in edits:
        if edit.action == "update" and edit.old is not None and edit.old["recipient_id"] != str(who.user_id):
            edit.refuse("forbidden", "only whom a message was sent to can read it", "/is_read")
