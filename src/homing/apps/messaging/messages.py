"""What is demanded of a message on its way in, from a device or from the web."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from homing.declare import Edit, Who
from homing.engine.pull import format_time
from homing.postgres.sql import Connection, fetch_all, load

STATES = ("pending_sync", "synced", "read")
"""The only way a message goes."""


async def may_send_and_read(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Refuse messages to nobody, and a status that is not the caller's to say; note when each was written."""
    sent = [edit for edit in edits if edit.action == "create"]
    named = {UUID(edit.values["recipient_id"]) for edit in sent if edit.values.get("recipient_id") is not None}
    found = await fetch_all(conn, load(__package__, "find_recipients"), {"ids": list(named)}) if named else []
    there = {row[0] for row in found}
    for edit in sent:
        recipient = edit.values.get("recipient_id")
        if recipient is not None and UUID(recipient) not in there:
            edit.refuse("fk_missing", "there is nobody with this id who can be written to", "/recipient_id")
        if edit.edited_at is not None:
            edit.values["written_at"] = format_time(edit.edited_at)
    for edit in edits:
        if edit.action != "update" or edit.old is None:
            continue
        if edit.old["recipient_id"] != str(who.user_id):
            edit.refuse("forbidden", "only whom a message was sent to can read it", "/status")
        elif edit.values.get("status", "read") not in ("read", edit.old["status"]):
            edit.refuse(
                "check_failed", "a device says that messages arrived by an ack; it may only set 'read'", "/status"
            )
