"""Events added up by the day, once a day: asking about a year then reads days, and what arrived since.

They are added up by *arrival*: a phone that was offline for a week sends events of days that were added up long ago,
and those are added to them. So each event is added once, by whichever round its arrival falls into, and until then it
is counted by itself (``homing.usage_between``): what is asked about is the same before a round and after it.

``created_at`` is when a transaction began. A round stops an hour before the day that it is called on could still get
such events: no transaction of ours lasts that long (``statement_timeout``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from homing.postgres.database import Database
from homing.postgres.sql import fetch_all, load

LATE: Final = timedelta(hours=1)
STEP: Final = timedelta(days=1)
"""Of arrival, in one transaction: the first round of an old database has years before it."""


async def add_up(owner: Database, *, now: datetime) -> int:
    """Add up what arrived on the days before this one; how many rows that touched. Several rounds at once do no harm.

    Raises Problem("unavailable"), having done some of it.
    """
    upto = (now.astimezone(UTC) - LATE).replace(hour=0, minute=0, second=0, microsecond=0)
    touched = 0
    while True:
        async with owner.transaction() as conn:
            ((since,),) = await fetch_all(conn, load(__package__, "lock_added"), {})
            if since is None or since >= upto:
                return touched
            params = {"since": since, "until": min(upto, since + STEP)}
            ((rows,),) = await fetch_all(conn, load(__package__, "add_up"), params)
            touched += int(rows)
