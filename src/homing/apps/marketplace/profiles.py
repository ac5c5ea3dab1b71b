"""Profiles: one a person. Everybody writes their own; what counts views and earnings is the server's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from homing.apps.marketplace.images import must_be_own
from homing.declare import Edit, Who
from homing.postgres.sql import Connection

SERVER_OWNED: Final = ("profile_views", "total_earnings_cents", "created_at")
"""Columns in which the server is always right: a phone may send what it last saw of them, and it is left out."""


async def may_write_profiles(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Refuse to change somebody else's profile, and leave out what is the server's alone."""
    if who.role == "OWNER":
        return
    for edit in edits:
        for column in SERVER_OWNED:
            edit.values.pop(column, None)
        if edit.old is not None and edit.old["user_id"] != str(who.user_id):
            edit.refuse("forbidden", "a profile is changed by the person it is about")
    await must_be_own(conn, edits, who, column="avatar_id")
