"""Expo's receipts: asked for a quarter of an hour after the tickets, and again until they are there, for a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from homing.jobs import defer
from homing.notify.carriers import Carriers
from homing.notify.deliver import RECEIPT_SECONDS, RECEIPTS_TASK, Done, bury, on_grid
from homing.notify.expo import RECEIPTS_MAX
from homing.notify.message import Accepted, Gone, Later, Outcome
from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, fetch_one, load

KEPT = timedelta(hours=24)
"""Expo keeps a receipt so long."""


async def ask_receipts(owner: Database, carriers: Carriers, *, now: datetime) -> Done:
    """Whatever receipts are due. Raises Problem("unavailable")."""
    done = Done()
    params = {
        "now": now,
        "most": RECEIPTS_MAX,
        "too_old": now - KEPT,
        "again": now + timedelta(seconds=RECEIPT_SECONDS),
    }
    while True:
        async with owner.transaction() as conn:
            asked = await fetch_all(conn, load(__package__, "take_receipts"), params)
        if not asked or carriers.expo is None:
            break
        found = await carriers.expo.ask([ticket for _, _, ticket in asked])
        if isinstance(found, Later):
            break
        said = [(row[0], row[1], found[row[2]]) for row in asked if row[2] in found]
        async with owner.transaction() as conn:
            statuses = [_status(outcome) for _, _, outcome in said]
            settled = {
                "now": now,
                "ids": [delivery for delivery, _, _ in said],
                "statuses": statuses,
                "errors": [None if isinstance(o, Accepted) else getattr(o, "reason", None) for _, _, o in said],
            }
            await execute(conn, load(__package__, "settle_receipts"), settled)
        await bury(owner, [(token, outcome) for _, token, outcome in said if isinstance(outcome, Gone)], now=now)
        done.became.update(statuses)
    async with owner.transaction() as conn:
        row = await fetch_one(conn, load(__package__, "find_next_receipt"))
        if row is not None and row[0] is not None:
            await defer(conn, RECEIPTS_TASK, key=RECEIPTS_TASK, at=on_grid(max(row[0], now)))
    return done


def _status(outcome: Outcome) -> str:
    match outcome:
        case Accepted():
            return "delivered"
        case Gone():
            return "gone"
        case _:  # Apple or Google did not take it from Expo; which is all that is known now
            return "failed"
