"""A node's copy of the control tables.

Every request looks here, so it is in memory. It is read again every few seconds if a number in the database says that
something changed, and when a request names a tenant that is not in it. While the control database is away, the copy
serves on: the tenants whose databases are there notice nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from homing.postgres.database import Database
from homing.tenants import control
from homing.tenants.entry import Entry

UNKNOWN_SECONDS = 1.0
"""How often names that are not in the directory make it be read: made-up names cost a query a second at most."""


class Directory:
    """``entries`` by name and ``by_host``: only tenants that clients may know of."""

    def __init__(self, control: Database) -> None:
        self.entries: Mapping[str, Entry] = {}
        self.by_host: Mapping[str, str] = {}
        self._control = control
        self._version = 0
        self._asked = float("-inf")

    async def refresh(self) -> bool:
        """Read again what changed, if anything did. Raises Problem("unavailable"), keeping what it has."""
        async with self._control.connection() as conn:
            version = await control.read_version(conn)
            if version == self._version:
                return False
            found = await control.read_all(conn) if version else []
        known = {entry.name: entry for entry in found if entry.status not in ("creating", "dropped")}
        self.entries = known
        self.by_host = {host: entry.name for entry in known.values() for host in entry.hosts}
        # Read before the rows were: what changed in between makes the next refresh read once more.
        self._version = version
        return True

    async def refresh_for_unknown(self) -> bool:
        """``refresh``, but seldom: for a name that somebody says there is."""
        now = monotonic()
        if now - self._asked < UNKNOWN_SECONDS:
            return False
        self._asked = now
        return await self.refresh()
