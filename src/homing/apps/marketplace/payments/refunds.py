"""Refunds: what was paid goes back, whole or in parts, by the freelancer who got it or by the office.

As payments, in three steps (see the package): written down, asked of the gateway under the refund's own key, its answer
written down. What is asked for counts as given back from the first step on, so that two at once cannot be more than was
paid; a trigger and a check see to it for every writer. One that the gateway refuses counts no more.

Somebody may also make a refund at the gateway itself. Events of refunds are therefore only a hint: the gateway is asked
for all refunds of the payment, and what it says is taken over, each once, in whatever order the hints come.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta
from psycopg.rows import class_row

from homing.accounts.users import OWNER
from homing.apps.marketplace.payments.gateway import Gateway, Refunded, RefundStatus
from homing.apps.marketplace.payments.intents import AMOUNT_MAX, Key
from homing.apps.marketplace.payments.payment import Payment, read_payment
from homing.engine.caller import Caller
from homing.notify import Kind, notify
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.server.pages import Page, page_of, read_cursor
from homing.server.tenant import Tenant

log = logging.getLogger("homing.payments")

KEY_KEPT: Final = timedelta(hours=20)
"""Stripe knows an idempotency key for a day. Later the same refund would be a second one."""
LOST: Final = timedelta(hours=21)
"""One that the gateway does not know then will not be made any more."""

PAYMENT_REFUNDED = Kind(
    name="payment_refunded",
    title="A payment was refunded",
    body="Money that was paid for a job goes back to the client.",
    preference="paymentAlerts",
    ids=("payment_id",),
)


class RefundAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``amount`` in minor units; without it, all that is left. The key may be in the header ``Idempotency-Key``."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None = None
    reason: Annotated[str, Meta(max_length=500)] | None = None
    idempotency_key: Key | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """``amount`` in the payment's currency's minor units. ``requested_by`` is None where it was made at the gateway."""

    id: UUID
    payment_id: UUID
    amount: int
    status: RefundStatus
    reason: str | None
    gateway_id: str | None
    error: str | None
    requested_by: UUID | None
    created_at: datetime
    settled_at: datetime | None


async def refund(tenant: Tenant, gateway: Gateway, caller: Caller, payment_id: UUID, asked: RefundAsked) -> Refund:
    """Give back; the same however often it is asked for with this key.

    Raises Problem: invalid_envelope, not_found, forbidden, state_conflict, check_failed, reused_with_other_body,
    payment_refused, unavailable (asking again goes on where this ended).
    """
    if asked.idempotency_key is None:
        raise Problem("invalid_envelope", "A refund needs an Idempotency-Key: sent twice, it would be made twice.")
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        payment = await _may_refund(conn, caller, payment_id)
        found = await _write_down(conn, gateway, caller, payment, asked)
    if found.status == "failed" and found.gateway_id is None:
        raise Problem("payment_refused", found.error or "")
    if found.status != "requested" or tenant.clock() - found.created_at > KEY_KEPT:
        return found
    assert payment.gateway_id is not None
    # No transaction is open here: the gateway may take seconds.
    try:
        answer = await gateway.refund(payment.gateway_id, found.id, found.amount)
    except Problem as problem:
        if problem.code.code == "payment_refused":
            refused = Refunded("", found.id, found.amount, "failed", problem.detail)
            await take(tenant, str(caller.user_id), payment, [refused])
        raise
    await take(tenant, str(caller.user_id), payment, [answer])
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return await _read(conn, found.id)


async def look_at(tenant: Tenant, gateway: Gateway, payment: Payment) -> bool:
    """Ask the gateway for a payment's refunds and take over what it says; whether anything was new. Raises Problem:
    unavailable, payment_refused, state_conflict."""
    assert payment.gateway_id is not None
    told = await gateway.refunds(payment.gateway_id)
    async with tenant.database.transaction(actor=gateway.name) as conn:
        params = {"payment": payment.id, "before": tenant.clock() - LOST}
        lost = await fetch_all(conn, load(__package__, "find_lost_refunds"), params)
    known = {each.refund for each in told}
    told += [
        Refunded("", refund_id, amount, "failed", "The gateway never got it.")
        for refund_id, amount in lost
        if refund_id not in known
    ]
    return await take(tenant, gateway.name, payment, told)


async def take(tenant: Tenant, actor: str, payment: Payment, told: list[Refunded]) -> bool:
    """Take over what the gateway says of a payment's refunds; whether anything was new."""
    async with tenant.database.transaction(actor=actor) as conn:
        await execute(conn, load(__package__, "lock_proposal"), {"proposal": payment.proposal_id})
        new = [await _note(conn, payment.id, each, now=tenant.clock()) for each in told]
    return any(new)


async def list_refunds(conn: Connection, payment: UUID, *, after: str | None, limit: int) -> Page[Refund]:
    """A payment's refunds, the newest first. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[datetime, UUID])
    at, after_id = place or (None, None)
    query = load_with(__package__, "list_refunds", frozenset() if place is None else frozenset({"after"}))
    async with conn.cursor(row_factory=class_row(Refund)) as cursor:
        await cursor.execute(query, {"payment": payment, "after_at": at, "after_id": after_id, "limit": limit + 1})
        found = await cursor.fetchall()
    return page_of(found, limit=limit, place=lambda each: (each.created_at, each.id))


async def _may_refund(conn: Connection, caller: Caller, payment_id: UUID) -> Payment:
    payment = await read_payment(conn, payment_id, user=None if caller.role == OWNER else caller.user_id)
    if caller.role != OWNER and payment.freelancer_id != caller.user_id:
        raise Problem("forbidden", "Whoever was paid gives back, or the office.")
    return payment


async def _write_down(
    conn: Connection, gateway: Gateway, caller: Caller, payment: Payment, asked: RefundAsked
) -> Refund:
    await execute(conn, load(__package__, "lock_proposal"), {"proposal": payment.proposal_id})
    params = {"user": caller.user_id, "key": asked.idempotency_key}
    before = await fetch_one(conn, load(__package__, "find_refund_by_key"), params)
    if before is not None:
        found, of, amount, reason = before
        if of != payment.id or asked.amount not in (None, amount) or asked.reason != reason:
            raise Problem("reused_with_other_body")
        return await _read(conn, found)
    payment = await read_payment(conn, payment.id, user=None)  # as it is under the lock
    if payment.status != "succeeded":
        raise Problem("state_conflict", f"The payment is {payment.status}: only what was paid goes back.")
    if payment.gateway != gateway.name:
        raise Problem("state_conflict", f"It was paid through {payment.gateway}: give it back there.")
    left = payment.amount - payment.refunded
    if left == 0:
        raise Problem("state_conflict", "All of it went back already.")
    if asked.amount is not None and asked.amount > left:
        raise Problem("check_failed", f"{left} {payment.currency} are left to give back.", path="/amount")
    wanted = {**params, "payment": payment.id, "amount": asked.amount, "reason": asked.reason, "gateway_id": None}
    row = await fetch_one(conn, load(__package__, "insert_refund"), wanted)
    assert row is not None
    return await _read(conn, row[0])


async def _note(conn: Connection, payment: UUID, told: Refunded, *, now: datetime) -> bool:
    """Take what the gateway says of one refund; False where that is known. The payment's lock is held."""
    known = {"payment": payment, "gateway_id": told.gateway_id, "refund": told.refund}
    row = await fetch_one(conn, load(__package__, "find_refund_of_gateway"), known)
    if row is None:
        if told.status == "failed":
            return False  # made and undone at the gateway
        made = {"payment": payment, "amount": told.amount, "gateway_id": told.gateway_id or None}
        none = {"reason": None, "user": None, "key": None}
        row = await fetch_one(conn, load(__package__, "insert_refund"), {**made, **none})
        if row is None:
            # One of ours is on its way that the gateway will refuse; it tells of this one again.
            raise Problem("state_conflict", "More would go back than was paid.")
    params = {
        "refund": row[0],
        "status": told.status,
        "gateway_id": told.gateway_id or None,
        "error": told.error,
        "now": now,
    }
    moved = await fetch_one(conn, load(__package__, "advance_refund"), params)
    if moved is None:
        return False
    before, amount, payment_id, client, freelancer, currency = moved
    sign = {"succeeded": -1, "failed": 1 if before == "succeeded" else 0}.get(told.status, 0)
    if sign:
        earned = {"freelancer": freelancer, "amount": sign * amount, "currency": currency}
        if not await execute(conn, load(__package__, "add_earnings"), earned):
            log.warning("a refund of payment %s is in no total: the profile is in another currency", payment_id)
    if told.status == "succeeded":
        data = {"payment_id": payment_id}
        await notify(conn, PAYMENT_REFUNDED, user_ids=[client, freelancer], data=data, collapse=payment_id)
    return True


async def _read(conn: Connection, refund_id: UUID) -> Refund:
    async with conn.cursor(row_factory=class_row(Refund)) as cursor:
        await cursor.execute(load(__package__, "read_refund"), {"refund": refund_id})
        found = await cursor.fetchone()
    assert found is not None
    return found
