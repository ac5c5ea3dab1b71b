"""Stripe, through its own SDK.

A client for each call: intents are rare, a kept connection would be closed by the time of the next one, and nothing is
left open when a tenant is closed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from homing.apps.marketplace.payments.gateway import Charge, Intent, Refunded, RefundStatus, Status
from homing.protocol.errors import Problem

if TYPE_CHECKING:
    from stripe import PaymentIntent, Refund, StripeClient

log = logging.getLogger("homing.payments")

CALL_SECONDS = 10.0
CALLS_AGAIN = 2
"""The SDK repeats what got no answer, under the same idempotency key."""

RETRY_SECONDS = 5

STATUSES: dict[str, Status] = {
    "requires_payment_method": "requires_payment",
    "requires_confirmation": "requires_payment",
    "requires_action": "requires_payment",
    "processing": "processing",
    "requires_capture": "processing",
    "canceled": "canceled",
    "succeeded": "succeeded",
}
"""A PaymentIntent's status → ours."""

REFUND_STATUSES: dict[str, RefundStatus] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}
REFUNDS_MAX = 100
"""Of one intent, the newest: a page of Stripe's."""


@dataclass(frozen=True, slots=True)
class Stripe:
    """``api_base`` other than Stripe's own: for tests against a server that speaks its API."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    api_base: str | None = None
    name: str = "stripe"

    async def create(self, charge: Charge) -> Intent:
        with _problems():
            async with self._client() as client:
                intent = await client.v1.payment_intents.create_async(
                    {
                        "amount": charge.amount,
                        "currency": charge.currency,
                        "automatic_payment_methods": {"enabled": True},
                        "metadata": {"payment_id": str(charge.payment), "proposal_id": str(charge.proposal)},
                    },
                    {"idempotency_key": f"homing-{charge.payment}"},
                )
        return _intent(intent)

    async def find(self, gateway_id: str) -> Intent:
        with _problems():
            async with self._client() as client:
                return _intent(await client.v1.payment_intents.retrieve_async(gateway_id))

    async def refund(self, gateway_id: str, refund: UUID, amount: int) -> Refunded:
        with _problems():
            async with self._client() as client:
                made = await client.v1.refunds.create_async(
                    {"payment_intent": gateway_id, "amount": amount, "metadata": {"refund_id": str(refund)}},
                    {"idempotency_key": f"homing-refund-{refund}"},
                )
        return _refunded(made)

    async def refunds(self, gateway_id: str) -> list[Refunded]:
        with _problems():
            async with self._client() as client:
                found = await client.v1.refunds.list_async({"payment_intent": gateway_id, "limit": REFUNDS_MAX})
        return [_refunded(each) for each in found.data]

    def webhook_secrets(self) -> tuple[str, ...]:
        return (self.webhook_secret,)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[StripeClient]:
        import stripe  # noqa: PLC0415 - a third of a second, which every other command would wait for

        http = stripe.HTTPXClient(timeout=CALL_SECONDS)
        try:
            yield stripe.StripeClient(
                self.secret_key,
                base_addresses={} if self.api_base is None else {"api": self.api_base},
                max_network_retries=CALLS_AGAIN,
                http_client=http,
            )
        finally:
            await http.close_async()  # type: ignore[no-untyped-call]


def _intent(intent: PaymentIntent) -> Intent:
    return Intent(intent.id, intent.client_secret or "", STATUSES.get(intent.status, "requires_payment"))


def _refunded(refund: Refund) -> Refunded:
    named = refund.metadata["refund_id"] if refund.metadata and "refund_id" in refund.metadata else None
    try:
        ours = None if named is None else UUID(named)
    except ValueError:
        ours = None
    status = REFUND_STATUSES.get(refund.status or "", "pending")
    reason = getattr(refund, "failure_reason", None) if status == "failed" else None
    return Refunded(refund.id, ours, refund.amount, status, reason)


@contextmanager
def _problems() -> Iterator[None]:
    """Stripe's refusals as ours. Its sentence about a wrong key names part of the key: for the log, not for clients."""
    import stripe  # noqa: PLC0415 - see above

    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        raise Problem("payment_refused", error.user_message or "") from error
    except stripe.StripeError as error:
        log.warning("Stripe did not answer: %s: %s", type(error).__name__, error)
        raise Problem("unavailable", "The payment gateway does not answer.", retry_after=RETRY_SECONDS) from error
