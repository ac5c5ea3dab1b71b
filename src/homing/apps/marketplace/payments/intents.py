"""Asking for a payment: written down, created at the gateway, its answer written down (see the package's theory)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from homing.apps.marketplace.payments.advance import advance
from homing.apps.marketplace.payments.gateway import SETTLED, Charge, Gateway, Intent
from homing.apps.marketplace.payments.payment import Payment, read_payment
from homing.engine.caller import Caller
from homing.postgres.sql import Connection, execute, fetch_one, load
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant

AMOUNT_MAX = 99_999_999
"""Minor units: what Stripe takes in one charge."""

Platform = Literal["web", "mobile", "ios", "android"]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class Asked(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"device_fingerprint": "deviceFingerprint"}
):
    """What a client's app sends. The proposal, or the job that it was accepted for. ``amount`` in minor units."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    currency: Annotated[str, Meta(pattern="^[A-Za-z]{3}$")]
    proposal_id: UUID | None = None
    job_id: UUID | None = None
    platform: Platform = "web"
    device_fingerprint: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    idempotency_key: Key | None = None


class Ready(Payment, frozen=True, kw_only=True):
    """A payment and the secret with which the client's app confirms it at the gateway; None once it is settled."""

    client_secret: str | None


class Agreement(msgspec.Struct, frozen=True):
    """A proposal, as far as it says what is to be paid."""

    proposal: UUID
    client: UUID
    freelancer: UUID
    amount: int
    currency: str
    status: str


async def create_intent(
    tenant: Tenant, gateway: Gateway, caller: Caller, asked: Asked, *, fingerprint: bytes | None
) -> Ready:
    """The one payment of this proposal, ready to be confirmed. ``fingerprint`` is the device's, hashed.

    Raises Problem: invalid_envelope, not_found, forbidden, state_conflict, check_failed, reused_with_other_body,
    payment_refused, unavailable (asking again goes on where this ended).
    """
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        payment_id = await _write_down(conn, gateway, caller, asked, fingerprint=fingerprint, tenant=tenant)
        payment = await read_payment(conn, payment_id, user=caller.user_id)
    if payment.status in SETTLED:
        return _ready(payment, None)
    charge = Charge(payment.id, payment.amount, payment.currency.lower(), payment.proposal_id)
    # No transaction is open here: the gateway may take seconds.
    if payment.gateway_id is not None:
        intent = await gateway.find(payment.gateway_id)
    else:
        try:
            intent = await gateway.create(charge)
        except Problem as problem:
            if problem.code.code == "payment_refused":
                await _note(tenant, caller, payment, Intent(None, "", "canceled"), error=problem.detail)
            raise
    return _ready(await _note(tenant, caller, payment, intent), intent)


async def _write_down(
    conn: Connection, gateway: Gateway, caller: Caller, asked: Asked, *, fingerprint: bytes | None, tenant: Tenant
) -> UUID:
    """The payment that this request is about, made where there is none."""
    agreed = await _find_agreement(conn, caller, asked)
    await execute(conn, load(__package__, "lock_proposal"), {"proposal": agreed.proposal})
    body_hash = _hash(agreed, asked)
    if asked.idempotency_key is not None:
        params = {"client": caller.user_id, "key": asked.idempotency_key}
        before = await fetch_one(conn, load(__package__, "find_request"), params)
        if before is not None:
            payment, hash_before, through = before
            if bytes(hash_before) != body_hash:
                raise Problem("reused_with_other_body")
            if through != gateway.name:
                await _leave(conn, payment, gateway, now=tenant.clock())
            return UUID(str(payment))
    payment = await _current(conn, gateway, agreed, tenant=tenant)
    params = {
        "payment": payment,
        "client": caller.user_id,
        "key": asked.idempotency_key,
        "body_hash": body_hash,
        "platform": asked.platform,
        "fingerprint": fingerprint,
        "device": caller.device_id,
    }
    if not await execute(conn, load(__package__, "insert_request"), params) and asked.idempotency_key is not None:
        # Another proposal's request took the key at this moment.
        raise Problem("reused_with_other_body")
    return payment


async def _find_agreement(conn: Connection, caller: Caller, asked: Asked) -> Agreement:
    if asked.proposal_id is None and asked.job_id is None:
        raise Problem("invalid_envelope", "Say what is paid for: proposal_id or job_id.")
    params = {"user": caller.user_id, "proposal": asked.proposal_id, "job": asked.job_id}
    row = await fetch_one(conn, load(__package__, "find_agreement"), params)
    if row is None:
        raise Problem("not_found")
    agreed = Agreement(*row)
    if agreed.client != caller.user_id:
        raise Problem("forbidden", "Only the client pays.")
    if agreed.status != "accepted":
        raise Problem("state_conflict", f"The proposal is {agreed.status}: only an accepted one is paid.")
    if (asked.amount, asked.currency.upper()) != (agreed.amount, agreed.currency):
        path = "/amount" if asked.amount != agreed.amount else "/currency"
        raise Problem("check_failed", f"The agreed amount is {agreed.amount} {agreed.currency}.", path=path)
    return agreed


async def _current(conn: Connection, gateway: Gateway, agreed: Agreement, *, tenant: Tenant) -> UUID:
    """The proposal's payment that can still be confirmed, whoever asked for it: a second device, or the same without a
    key. Raises Problem("state_conflict") where it is paid."""
    current = await fetch_one(conn, load(__package__, "find_current"), {"proposal": agreed.proposal})
    if current is not None:
        payment, status, through = current
        if status == "succeeded":
            raise Problem("state_conflict", "It is paid already.", payment_id=str(payment))
        if through == gateway.name:
            return UUID(str(payment))
        await _leave(conn, payment, gateway, now=tenant.clock())
    params = {
        "proposal": agreed.proposal,
        "client": agreed.client,
        "freelancer": agreed.freelancer,
        "amount": agreed.amount,
        "currency": agreed.currency,
        "gateway": gateway.name,
    }
    row = await fetch_one(conn, load(__package__, "insert_payment"), params)
    assert row is not None
    return UUID(str(row[0]))


async def _leave(conn: Connection, payment: UUID, gateway: Gateway, *, now: datetime) -> None:
    """Cancel what was begun with another gateway, to which nobody can be sent any more; what is settled stays so."""
    await advance(conn, payment, "canceled", error=f"The gateway is {gateway.name} now.", now=now)


async def _note(
    tenant: Tenant, caller: Caller, payment: Payment, intent: Intent, *, error: str | None = None
) -> Payment:
    """Write down what the gateway said. An event may have been faster: then the payment is further."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await note(conn, payment.id, payment.proposal_id, intent, error=error, now=tenant.clock())
        return await read_payment(conn, payment.id, user=caller.user_id)


async def note(
    conn: Connection, payment: UUID, proposal: UUID, intent: Intent, *, now: datetime, error: str | None = None
) -> bool:
    """Take what the gateway says of its intent, in ``conn``'s transaction; whether that was further."""
    await execute(conn, load(__package__, "lock_proposal"), {"proposal": proposal})
    return await advance(conn, payment, intent.status, gateway_id=intent.gateway_id, error=error, now=now)


def _ready(payment: Payment, intent: Intent | None) -> Ready:
    """Raises Problem("payment_refused") where the gateway took no intent of it."""
    if payment.status == "canceled" and payment.gateway_id is None:
        raise Problem("payment_refused", payment.error or "")
    secret = None if intent is None or payment.status in SETTLED else intent.client_secret
    return Ready(**msgspec.structs.asdict(payment), client_secret=secret)


def _hash(agreed: Agreement, asked: Asked) -> bytes:
    """What must be the same when a key is used again. Not the fingerprint: the spec's own holds the time, so a phone
    that tries again has another."""
    said = (str(agreed.proposal), agreed.amount, agreed.currency, asked.platform)
    return hashlib.sha256(msgspec.json.encode(said)).digest()
