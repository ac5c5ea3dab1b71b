"""What gateways tell: signed events, which come twice, late, and in any order."""

from __future__ import annotations

import logging
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from homing.apps.marketplace.payments.advance import advance
from homing.apps.marketplace.payments.gateway import Gateway, Status
from homing.apps.marketplace.payments.payment import read_payment
from homing.apps.marketplace.payments.refunds import look_at
from homing.postgres.sql import execute, fetch_one, load
from homing.protocol.errors import Problem
from homing.protocol.limits import Limits
from homing.server.bodies import decode
from homing.server.tenant import Tenant

log = logging.getLogger("homing.payments")

TOLERANCE_SECONDS = 300
"""How old a signature may be: Stripe signs again each time it tries again."""
SIGNATURE_CHARS_MAX = 2000

STATUSES: dict[str, Status] = {
    "payment_intent.created": "requires_payment",
    "payment_intent.requires_action": "requires_payment",
    "payment_intent.processing": "processing",
    "payment_intent.amount_capturable_updated": "processing",
    "payment_intent.payment_failed": "failed",
    "payment_intent.canceled": "canceled",
    "payment_intent.succeeded": "succeeded",
}
"""A type of event → what the payment is then. Other types are acknowledged and mean nothing here."""

REFUND_EVENTS = frozenset(
    {"charge.refunded", "charge.refund.updated", "refund.created", "refund.updated", "refund.failed"}
)
"""That something happened to a payment's refunds; the gateway is asked what."""

Text = Annotated[str, Meta(max_length=255)]


class Reason(msgspec.Struct):
    message: str | None = None


class Object(msgspec.Struct):
    """Of a PaymentIntent, what counts here. Events of other objects have other members, and are not looked into."""

    id: Annotated[str, Meta(max_length=255)] | None = None
    amount_received: int | None = None
    currency: str | None = None
    metadata: dict[str, Any] | None = None
    payment_intent: Annotated[str, Meta(max_length=255)] | None = None
    last_payment_error: Reason | None = None


class Data(msgspec.Struct):
    object: Object


class Event(msgspec.Struct):
    """``created`` in Unix seconds."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    created: Annotated[int, Meta(ge=0, lt=2**33)]
    data: msgspec.Raw


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """``applied``: it took the payment further. False for an event that came before, came late, or is not of ours."""

    received: bool = True
    applied: bool


async def receive(tenant: Tenant, gateway: Gateway, payload: bytes, signature: str, *, limits: Limits) -> Received:
    """Take an event, once.

    Raises Problem: invalid_signature before anything is looked at; those of a body; state_conflict where it
    contradicts the payment (the gateway shows its operator what it could not deliver).
    """
    verify(payload, signature, gateway.webhook_secrets())
    event = await decode(payload, Event, limits=limits)
    if event.type in REFUND_EVENTS:
        return await _receive_refund(tenant, gateway, event, limits=limits)
    status = STATUSES.get(event.type)
    if status is None:
        return Received(applied=False)
    intent = (await decode(bytes(event.data), Data, limits=limits)).object
    payment = _payment_of(intent)
    if payment is None:
        return Received(applied=False)
    params: dict[str, Any] = {"payment": payment, "gateway": gateway.name}
    async with tenant.database.transaction(actor=gateway.name) as conn:
        row = await fetch_one(conn, load(__package__, "find_event_payment"), params)
        if row is None:
            return Received(applied=False)  # another shop of the same account
        proposal, amount, currency, gateway_id = row
        if gateway_id not in (None, intent.id):
            raise Problem("state_conflict", "The payment has another intent.")
        if status == "succeeded" and (intent.amount_received, (intent.currency or "").upper()) != (amount, currency):
            log.error("event %s says another amount than payment %s", event.id, payment)
            raise Problem("state_conflict", "The payment is of another amount.")
        await execute(conn, load(__package__, "lock_proposal"), {"proposal": proposal})
        kept = {**params, "event": event.id, "type": event.type, "sent": event.created}
        if not await execute(conn, load(__package__, "insert_event"), kept):
            return Received(applied=False)
        failure = intent.last_payment_error if status == "failed" else None
        reason = None if failure is None else failure.message
        applied = await advance(
            conn,
            payment,
            status,
            gateway_id=intent.id,
            error=reason,
            now=tenant.clock(),
        )
    return Received(applied=applied)


async def _receive_refund(tenant: Tenant, gateway: Gateway, event: Event, *, limits: Limits) -> Received:
    intent = (await decode(bytes(event.data), Data, limits=limits)).object.payment_intent
    if intent is None:
        return Received(applied=False)
    async with tenant.database.transaction(actor=gateway.name) as conn:
        named = {"gateway": gateway.name, "gateway_id": intent}
        row = await fetch_one(conn, load(__package__, "find_payment_of_intent"), named)
        if row is None:
            return Received(applied=False)  # another shop of the same account
        payment = await read_payment(conn, row[0], user=None)
    return Received(applied=await look_at(tenant, gateway, payment))


def verify(payload: bytes, signature: str, secrets: tuple[str, ...]) -> None:
    """By the SDK's own rule, for the sandbox's events too. Raises Problem("invalid_signature"), one for all causes."""
    import stripe  # noqa: PLC0415 - a third of a second, which every other command would wait for

    if len(signature) <= SIGNATURE_CHARS_MAX:
        for secret in secrets:
            try:
                stripe.WebhookSignature.verify_header(payload, signature, secret, TOLERANCE_SECONDS)
            except (stripe.SignatureVerificationError, ValueError, TypeError):
                continue  # TypeError, ValueError: what is not ASCII in the header, or not UTF-8 in the body
            return
    raise Problem("invalid_signature")


def _payment_of(intent: Object) -> UUID | None:
    """Ours: every intent carries the payment's id from its creation on."""
    named = (intent.metadata or {}).get("payment_id")
    try:
        return UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None
