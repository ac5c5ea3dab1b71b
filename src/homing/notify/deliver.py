"""The job: notifications are handed out to devices, and sent.

Any number of workers may do this at once. What is to be sent is in the database, each delivery a row: a worker takes
some of them, sends them outside of any transaction, and writes down what became of each. Taking moves the time when
they are due to when this worker would be given up (``TAKEN_SECONDS``), so nobody else sends them meanwhile, and if it
dies they are due again: then, and only then, one may be sent twice, and the carrier's collapse key hides that.

One worker that finds much to do goes on as long as there is any, and takes the jobs of those notifications out of the
queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import uniform
from time import monotonic

import msgspec

from homing.accounts.presence import NODE_SECONDS_MAX
from homing.accounts.push_tokens import Keys
from homing.engine.engine import ALONG_INDEXES
from homing.jobs import absorb, defer
from homing.notify.carriers import Carriers
from homing.notify.message import Accepted, Gone, Later, Logged, Message, Outcome, Refused
from homing.notify.notify import TASK
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load

RECEIPTS_TASK = "homing.notify_receipts"

HANDED_MAX = 1000
TAKEN_MAX = 500
"""Notifications, and deliveries, of one statement."""
WORK_SECONDS = 300.0
"""How long one job goes on; what is left then is another's."""
TAKEN_SECONDS = 600.0
"""Until what a worker took is given up: longer than sending goes on (``wire.BATCH_SECONDS``)."""
TRIES = 8
WAIT_SECONDS = (10.0, 3600.0)
"""Between two attempts: about so long after the first, four times as long each time, at most the second."""
HELD_SECONDS = 60.0
"""A device that is connected is left alone for so long; if it still is connected then, for good. A phone that lost its
signal counts as connected for some seconds, and must not miss what was said in them."""
RECEIPT_SECONDS = 15 * 60.0
"""After this Expo has a receipt."""
GRID_SECONDS = 15
"""Jobs of later attempts begin at multiples of this, so that many need one."""


@dataclass
class Done:
    """What one job did: deliveries by what became of them, and why some were given up."""

    notifications: int = 0
    became: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Settled:
    status: str
    not_before: datetime | None = None
    error: str | None = None
    provider_id: str | None = None
    receipt_at: datetime | None = None


async def deliver(owner: Database, carriers: Carriers, *, now: datetime, seconds: float = WORK_SECONDS) -> Done:
    """Whatever is due, for about ``seconds``; what is due later gets a job of its own.

    Raises Problem("unavailable").
    """
    done, began = Done(), monotonic()
    receipts = False
    while (elapsed := monotonic() - began) < seconds:
        at = now + timedelta(seconds=elapsed)
        handed = await hand_out(owner, now=at)
        taken, became = await take(owner, now=at)
        done.notifications += handed
        done.became += became
        if taken:
            outcomes: dict[int, Outcome] = {}
            try:
                await carriers.send(taken, at, outcomes)
            finally:
                # Also when the worker is told to stop: only what was under way just then is sent a second time.
                at = now + timedelta(seconds=monotonic() - began)
                known = [message for message in taken if message.delivery in outcomes]
                receipts |= await settle(owner, known, outcomes, done, now=at)
        elif not handed and not became:
            break
    await go_on(owner, now=now + timedelta(seconds=monotonic() - began), receipts=receipts)
    return done


async def hand_out(owner: Database, *, now: datetime) -> int:
    """Make deliveries of what waits; how many notifications that was. Their jobs need not run any more: should this one
    die, it is tried again."""
    async with owner.connection() as conn:
        await absorb(conn, TASK)
    async with _along_indexes(owner) as conn:
        ((notifications, _),) = await fetch_all(conn, load(__package__, "hand_out"), {"most": HANDED_MAX, "now": now})
    return int(notifications)


async def take(owner: Database, *, now: datetime) -> tuple[list[Message], Counter[str]]:
    """Deliveries to send now, and what became of those that are not to be sent."""
    params = {
        "now": now,
        "most": TAKEN_MAX,
        "given_up": now + timedelta(seconds=TAKEN_SECONDS),
        "held_until": now + timedelta(seconds=HELD_SECONDS),
        "alive": NODE_SECONDS_MAX,
    }
    async with _along_indexes(owner) as conn:
        rows = await fetch_all(conn, load(__package__, "take_deliveries"), params)
    messages = [
        Message(
            delivery=delivery,
            attempt=attempt,
            notification=notification,
            token_id=token_id,
            kind=kind,
            title=title,
            body=body,
            data=data,
            collapse=collapse,
            urgent=urgent,
            expires=expires,
            provider=provider,
            address=address,
            keys=None if keys is None else msgspec.convert(keys, Keys),
        )
        for (
            verdict,
            delivery,
            attempt,
            notification,
            token_id,
            kind,
            title,
            body,
            data,
            collapse,
            urgent,
            expires,
            provider,
            address,
            keys,
        ) in rows
        if verdict == "send"
    ]
    messages.sort(key=lambda message: message.delivery)
    return messages, Counter(row[0] for row in rows if row[0] != "send")


async def settle(
    owner: Database, messages: Sequence[Message], outcomes: Mapping[int, Outcome], done: Done, *, now: datetime
) -> bool:
    """Write down what became of each; whether any has a receipt to be asked for."""
    settled = [_decide(message, outcomes[message.delivery], now=now) for message in messages]
    params = {
        "now": now,
        "ids": [message.delivery for message in messages],
        "attempts": [message.attempt for message in messages],
        "statuses": [each.status for each in settled],
        "not_before": [each.not_before for each in settled],
        "errors": [each.error for each in settled],
        "provider_ids": [each.provider_id for each in settled],
        "receipts": [each.receipt_at for each in settled],
    }
    async with _along_indexes(owner) as conn:
        await execute(conn, load(__package__, "settle_deliveries"), params)
    dead = [(m.token_id, outcome) for m in messages if isinstance(outcome := outcomes[m.delivery], Gone)]
    await bury(owner, dead, now=now)
    done.became.update(each.status for each in settled)
    done.failures.update(each.error or "" for each in settled if each.status == "failed")
    return any(each.receipt_at is not None for each in settled)


async def bury(owner: Database, dead: Sequence[tuple[int, Gone]], *, now: datetime) -> None:
    """Forget dead tokens. In a transaction of its own: it locks people, and must not undo what was written of
    others."""
    if not dead:
        return
    params = {"ids": [token for token, _ in dead], "since": [gone.since or now for _, gone in dead]}
    async with owner.transaction() as conn:
        await execute(conn, load(__package__, "bury_tokens"), params)


@asynccontextmanager
async def _along_indexes(owner: Database) -> AsyncIterator[Connection]:
    """A transaction whose plans go along indexes, whatever the statistics say: a table that was empty when it was last
    analysed holds ten thousand rows a moment later, and nested loops over all of them take minutes."""
    async with owner.transaction() as conn:
        params = {"names": list(ALONG_INDEXES), "values": list(ALONG_INDEXES.values())}
        await execute(conn, load(__package__, "set_locally"), params)
        yield conn


def _decide(message: Message, outcome: Outcome, *, now: datetime) -> _Settled:
    match outcome:
        case Accepted(name, receipt):
            ask_at = now + timedelta(seconds=RECEIPT_SECONDS) if receipt and name is not None else None
            return _Settled("sent", provider_id=name, receipt_at=ask_at)
        case Logged():
            return _Settled("logged")
        case Gone(reason):
            return _Settled("gone", error=reason)
        case Refused(reason):
            return _Settled("failed", error=reason)
        case Later(reason, seconds):
            first, most = WAIT_SECONDS
            pause = min(first * 4 ** (message.attempt - 1), most) * uniform(0.75, 1.25)  # noqa: S311
            again = now + timedelta(seconds=max(pause, seconds or 0.0))
            if message.attempt >= TRIES or again >= message.expires:
                return _Settled("failed", error=reason)
            return _Settled("pending", not_before=again, error=reason)


async def go_on(owner: Database, *, now: datetime, receipts: bool = False) -> None:
    """Jobs for what is due later. Of those for one moment there is one."""
    async with owner.connection() as conn:
        row = await fetch_one(conn, load(__package__, "find_next"))
        if row is not None and row[0] is not None:
            await defer(conn, TASK, key=TASK, at=on_grid(max(row[0], now)))
        if receipts:
            await defer(conn, RECEIPTS_TASK, key=RECEIPTS_TASK, at=on_grid(now + timedelta(seconds=RECEIPT_SECONDS)))


def on_grid(at: datetime) -> datetime:
    """The first moment of the grid that is not before ``at``."""
    return datetime.fromtimestamp(-(-at.timestamp() // GRID_SECONDS) * GRID_SECONDS, UTC)
