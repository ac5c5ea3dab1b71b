"""Ticking materials: a device says ``purchased``, the server who and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from homing.declare import Edit, Who
from homing.engine.pull import format_time
from homing.postgres.sql import Connection


async def note_purchase(_conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Put down who ticked and when it was in the shop, perhaps hours before it came here. What somebody else ticked
    already stays theirs: ticking it again is no change."""
    # Rows as the batch's own edits leave them: a tick may be taken back and made again before it is sent.
    standing: dict[str | None, Mapping[str, Any]] = {}
    for edit in edits:
        if edit.action == "delete":
            continue
        before = standing.get(edit.row_id, edit.old or {})
        purchased = edit.values.get("purchased")
        if purchased is True and not before.get("purchased"):
            edit.values.setdefault("purchased_by_id", str(who.user_id))
            edit.values.setdefault("purchased_at", format_time(edit.edited_at or datetime.now(UTC)))
        elif purchased is False and before.get("purchased"):
            edit.values.setdefault("purchased_by_id", None)
            edit.values.setdefault("purchased_at", None)
        standing[edit.row_id] = {**before, **edit.values}
