"""How far a device is trusted, and why.

    score = max(0, 1 - sum of the weights of the reasons)

A reason is kept once, with the greatest weight it ever had and the time it last came up. So the score is a function of
*which* things happened, not of their order or how often they were reported: events can only lower it, and computing it
again from ``trust_reasons`` gives ``trust_score``. Only the office raises it (``reset``).

Below ``HOMING_TRUST_THRESHOLD`` (0.5) a device's pushes are held for review instead of applied. Nothing is taken from
the device: it pulls as before, and its held batches wait with their payloads. With the weights below one reason alone
never holds a device, except another fingerprint or key under the same name; two serious ones do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from homing.accounts import device_events
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_one, load

WEIGHTS: Mapping[str, float] = {
    # Its measured clock is further off than any time zone mistake explains: times of edit are guesses.
    "clock_far_off": 0.2,
    # Most of what it sent lately was refused: broken, or probing.
    "many_refused": 0.3,
    # The app is older than the one the device had: a restored image, or another machine under this name.
    "app_downgraded": 0.2,
    # It attested itself before and does not any more.
    "attestation_missing": 0.3,
    # Another machine answers to this device's name.
    "fingerprint_changed": 0.6,
    # It was enrolled again without the key that it had.
    "key_changed": 0.6,
}

CLOCK_FAR_OFF = timedelta(hours=26)
"""Time zones span 26 hours; beyond that a clock is wrong, not misplaced."""
REFUSED_ITEMS_MIN = 20
"""Fewer items say nothing."""
REFUSED_SHARE = 0.5
RESET = "reset"
"""The reason of weight 0 that the office's reset leaves: who trusted the device again, when and why."""


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of ``mobile_devices.trust_reasons``."""

    reason: str
    weight: float
    at: datetime
    note: str = ""


def score(reasons: Iterable[Reason]) -> float:
    """The score that these reasons give, 0 to 1, rounded so that floating-point sums compare equal."""
    return max(0.0, round(1.0 - sum(reason.weight for reason in reasons), 6))


def merge(reasons: Iterable[Reason], new: Reason) -> list[Reason]:
    """``reasons`` and ``new``, each kind once: its greatest weight, its latest time. Independent of order."""
    kinds = {reason.reason: reason for reason in reasons}
    old = kinds.get(new.reason)
    if old is not None:
        latest = max(old, new, key=lambda reason: reason.at)
        new = msgspec.structs.replace(latest, weight=max(old.weight, new.weight))
    kinds[new.reason] = new
    return sorted(kinds.values(), key=lambda reason: reason.reason)


async def add_reason(
    conn: Connection, *, device_id: UUID, reason: str, weight: float | None = None, now: datetime, note: str = ""
) -> float:
    """Lower a device's trust, inside the caller's transaction; the new score. ``weight`` defaults to ``WEIGHTS``."""
    given = Reason(reason=reason, weight=WEIGHTS[reason] if weight is None else weight, at=now, note=note)
    row = await fetch_one(conn, load(__package__, "lock_trust_reasons"), {"id": device_id})
    if row is None:
        return 1.0
    before = msgspec.convert(row[0], list[Reason])
    score_is = await _store(conn, device_id, merge(before, given))
    if reason not in {each.reason for each in before}:
        await device_events.note(
            conn, device_id=device_id, kind="trust_lowered", user_id=None, now=now, reason=reason, score=score_is
        )
    return score_is


async def reset(conn: Connection, *, device_id: UUID, by: UUID, note: str, now: datetime) -> None:
    """The office trusts the device again: every reason goes, and this one, of no weight, says who decided it."""
    await _store(
        conn, device_id, [Reason(reason=RESET, weight=0.0, at=now, note=f"by {by}: {note}" if note else f"by {by}")]
    )
    await device_events.note(conn, device_id=device_id, kind="trust_reset", user_id=by, now=now, reason=note)


async def review(conn: Connection, *, device_id: UUID, now: datetime) -> float:
    """Look at what is stored of a device (its clock, its last day's items) and lower its trust where that says so."""
    row = await fetch_one(
        conn, load(__package__, "read_trust_signs"), {"id": device_id, "since": now - timedelta(days=1)}
    )
    if row is None:
        return 1.0
    current, clock_offset, items, refused = row
    if clock_offset is not None and abs(clock_offset) > CLOCK_FAR_OFF:
        current = await add_reason(conn, device_id=device_id, reason="clock_far_off", now=now)
    if items >= REFUSED_ITEMS_MIN and refused / items > REFUSED_SHARE:
        current = await add_reason(conn, device_id=device_id, reason="many_refused", now=now)
    return float(current)


def registration_reasons(
    *, before: Mapping[str, Any], after: Mapping[str, Any], app_before: str, app_after: str
) -> list[str]:
    """What a device's renewed registration says about it. ``before`` and ``after`` are its metadata.

    ``metadata.attestation`` is what the platform attests. It is optional; only losing it counts. (The fingerprint is
    compared by ``fingerprints``.)
    """
    reasons = []
    if before.get("attestation") and not after.get("attestation"):
        reasons.append("attestation_missing")
    old, new = _version(app_before), _version(app_after)
    if old and new and new < old:
        reasons.append("app_downgraded")
    return reasons


def _version(text: str) -> tuple[int, ...]:
    """``2.10.1-beta`` → (2, 10, 1); () where there is no number to compare."""
    numbers = []
    for part in text.split("-", 1)[0].split(".")[:4]:
        if not part.isascii() or not part.isdigit() or len(part) > 9:
            break
        numbers.append(int(part))
    return tuple(numbers)


async def _store(conn: Connection, device_id: UUID, reasons: list[Reason]) -> float:
    now_is = score(reasons)
    await execute(
        conn,
        load(__package__, "write_trust"),
        {"id": device_id, "score": now_is, "reasons": Jsonb(msgspec.to_builtins(reasons))},
    )
    return now_is


async def review_by_name(db: Database, device_name: str, *, now: datetime) -> None:
    """``review`` in a transaction of its own, for whoever knows only the device's own name."""
    async with db.transaction() as conn:
        row = await fetch_one(conn, load(__package__, "find_device_id"), {"device": device_name})
        if row is not None:
            await review(conn, device_id=row[0], now=now)
