"""The routes of payments: an intent for the client's app, the gateway's webhook, and what became of them."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, get, post
from msgspec import Meta

from homing.accounts import fingerprints
from homing.apps.marketplace.payments.choose import gateway_of
from homing.apps.marketplace.payments.events import Received, receive
from homing.apps.marketplace.payments.gateway import Charge
from homing.apps.marketplace.payments.intents import Asked, Key, Ready, create_intent
from homing.apps.marketplace.payments.payment import Payment, list_payments, read_payment
from homing.apps.marketplace.payments.refunds import Refund, RefundAsked, list_refunds, refund
from homing.apps.marketplace.payments.sandbox import Outcome, Sandbox, sign
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.bodies import read, read_bytes
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import OFFICE, PUBLIC, SIGNED_IN
from homing.server.tenant import Tenant

Call = Request[Any, Any, Any]
Keyed = TypeVar("Keyed", Asked, RefundAsked)


class Confirmation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a card would have done."""

    client_secret: Annotated[str, Meta(max_length=255)]
    outcome: Outcome = "succeeded"


@post("/payments/create-intent", status_code=200, roles=SIGNED_IN, body=Asked)
async def post_create_intent(request: Call, tenant: Tenant, caller: Caller) -> Ready:
    """A payment of an accepted proposal, for its client: the same one however often it is asked for. With a key (the
    header ``Idempotency-Key`` or the body's ``idempotency_key``), the same key asks for the same again."""
    asked = await read(request, Asked)
    if (key := request.headers.get("Idempotency-Key")) is not None:
        asked = _with_key(asked, key)
    fingerprint = None
    if asked.device_fingerprint is not None:
        fingerprint = fingerprints.hashed(tenant.keys.recognising, asked.device_fingerprint)
        await _compare(tenant, caller, fingerprint)
    return await create_intent(tenant, gateway_of(tenant), caller, asked, fingerprint=fingerprint)


async def _compare(tenant: Tenant, caller: Caller, fingerprint: bytes) -> None:
    """A payment from another machine than the device was lowers its trust, whatever becomes of the payment."""
    if caller.device_name is not None:
        async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
            await fingerprints.compare(
                conn,
                device_name=caller.device_name,
                user_id=caller.user_id,
                fingerprint=fingerprint,
                where="payment",
                now=tenant.clock(),
            )


@get("/payments", roles=SIGNED_IN)
async def get_payments(
    tenant: Tenant, caller: Caller, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[Payment]:
    """What the caller pays and is paid, the newest first; to the office everybody's."""
    user = None if caller.role in OFFICE else caller.user_id
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return await list_payments(conn, user=user, after=after, limit=limit)


@get("/payments/{payment_id:uuid}", roles=SIGNED_IN)
async def get_payment(tenant: Tenant, caller: Caller, payment_id: UUID) -> Payment:
    """One payment, for the two people it is between and the office."""
    user = None if caller.role in OFFICE else caller.user_id
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return await read_payment(conn, payment_id, user=user)


@post("/payments/{payment_id:uuid}/refunds", status_code=200, roles=SIGNED_IN, body=RefundAsked)
async def post_refund(request: Call, tenant: Tenant, caller: Caller, payment_id: UUID) -> Refund:
    """Give back what was paid, or a part of it: by the freelancer who got it, or by the office. It needs a key (the
    header ``Idempotency-Key`` or the body's ``idempotency_key``); the same one gives the same refund."""
    asked = await read(request, RefundAsked)
    if (key := request.headers.get("Idempotency-Key")) is not None:
        asked = _with_key(asked, key)
    return await refund(tenant, gateway_of(tenant), caller, payment_id, asked)


@get("/payments/{payment_id:uuid}/refunds", roles=SIGNED_IN)
async def get_refunds(
    tenant: Tenant, caller: Caller, payment_id: UUID, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[Refund]:
    """What of a payment went back, the newest first: for the two people it is between and the office."""
    user = None if caller.role in OFFICE else caller.user_id
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await read_payment(conn, payment_id, user=user)
        return await list_refunds(conn, payment_id, after=after, limit=limit)


@post("/payments/webhook", status_code=200, roles=PUBLIC, rate=None)
async def post_webhook(request: Call, tenant: Tenant) -> Received:
    """Where the gateway sends its events, signed (``Stripe-Signature``). Taken once each, in any order."""
    payload = await read_bytes(request)
    signature = request.headers.get("Stripe-Signature", "")
    return await receive(tenant, gateway_of(tenant), payload, signature, limits=request.app.state.limits)


@post("/payments/sandbox/confirm", status_code=200, roles=SIGNED_IN, body=Confirmation)
async def post_sandbox_confirm(request: Call, tenant: Tenant, caller: Caller) -> Received:
    """In the sandbox, what Stripe's page and servers do: somebody confirms the payment, and an event tells of it."""
    asked = await read(request, Confirmation)
    gateway = gateway_of(tenant)
    if not isinstance(gateway, Sandbox):
        raise Problem("not_found")
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        payment = await read_payment(conn, gateway.payment_of(asked.client_secret), user=caller.user_id)
    now = int(tenant.clock().timestamp())
    charge = Charge(payment.id, payment.amount, payment.currency.lower(), payment.proposal_id)
    event = gateway.event(charge, asked.outcome, now=now)
    signature = sign(event, gateway.webhook_secrets()[0], now=now)
    return await receive(tenant, gateway, event, signature, limits=request.app.state.limits)


ROUTES = (
    post_create_intent,
    get_payments,
    get_payment,
    post_refund,
    get_refunds,
    post_webhook,
    post_sandbox_confirm,
)

SPEC_ROUTES = (post_create_intent,)


def _with_key(asked: Keyed, header: str) -> Keyed:
    """The header's key; where the body has one too, they must be the same. Raises Problem("invalid_envelope")."""
    try:
        key = msgspec.convert(header, Key)
    except msgspec.ValidationError as error:
        raise Problem("invalid_envelope", f"Idempotency-Key: {error}") from error
    if asked.idempotency_key not in (None, key):
        raise Problem("invalid_envelope", "The body's idempotency_key is another than the header's.")
    return msgspec.structs.replace(asked, idempotency_key=key)
