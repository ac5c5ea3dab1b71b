"""Jobs: changed by the client who offers them."""

from __future__ import annotations

from collections.abc import Sequence

from homing.apps.marketplace.images import must_be_own
from homing.declare import Edit, Who
from homing.postgres.sql import Connection


async def may_write_jobs(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Refuse to change somebody else's job, which whoever saved it holds too."""
    if who.role == "OWNER":
        return
    for edit in edits:
        if edit.old is not None and edit.old["client_id"] != str(who.user_id):
            edit.refuse("forbidden", "a job is changed by the client who offers it")
    await must_be_own(conn, edits, who, column="image_id")
