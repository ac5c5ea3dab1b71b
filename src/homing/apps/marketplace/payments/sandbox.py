"""The sandbox: a gateway without money, for trying things out and for tests.

It is called ``sandbox`` in every answer. Its intents and secrets follow from the payment's id and the server's keys, so
it keeps nothing. What Stripe's page and servers do (take a card, send an event), ``confirm`` does: it makes an event of
Stripe's form, signed in Stripe's way, and the webhook's own code receives it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from homing.apps.marketplace.payments.gateway import Charge, Intent, Refunded
from homing.protocol.errors import Problem

PREFIX = "sandbox_pi_"
Outcome = Literal["succeeded", "processing", "failed", "canceled"]

EVENTS: dict[Outcome, str] = {
    "succeeded": "payment_intent.succeeded",
    "processing": "payment_intent.processing",
    "failed": "payment_intent.payment_failed",
    "canceled": "payment_intent.canceled",
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """``keys``: the server's own secrets, the one that signs first."""

    keys: Sequence[bytes] = field(repr=False)
    name: str = "sandbox"

    async def create(self, charge: Charge) -> Intent:
        return self._intent(charge.payment)

    async def find(self, gateway_id: str) -> Intent:
        return self._intent(UUID(gateway_id.removeprefix(PREFIX)))

    async def refund(self, gateway_id: str, refund: UUID, amount: int) -> Refunded:  # noqa: ARG002
        return Refunded(f"sandbox_re_{refund.hex}", refund, amount, "succeeded")

    async def refunds(self, gateway_id: str) -> list[Refunded]:  # noqa: ARG002
        return []  # it keeps nothing, and has no page where somebody could make one

    def webhook_secrets(self) -> tuple[str, ...]:
        return tuple(f"whsec_sandbox_{_derived(key, b'webhook')}" for key in self.keys)

    def payment_of(self, client_secret: str) -> UUID:
        """Whose secret this is. Raises Problem("not_found")."""
        name, _, proof = client_secret.partition("_secret_")
        try:
            payment = UUID(name.removeprefix(PREFIX))
        except ValueError:
            raise Problem("not_found") from None
        given = proof.encode("utf-8", "surrogatepass")
        if not any(hmac.compare_digest(given, _proof(key, payment).encode()) for key in self.keys):
            raise Problem("not_found")
        return payment

    def event(self, charge: Charge, outcome: Outcome, *, now: int) -> bytes:
        """What Stripe would send. Its id follows from what it says: the same outcome again is the same event."""
        failed = {"message": "The sandbox's card was declined."} if outcome == "failed" else None
        return msgspec.json.encode(
            {
                "id": f"sandbox_evt_{uuid5(charge.payment, outcome).hex}",
                "object": "event",
                "type": EVENTS[outcome],
                "created": now,
                "data": {
                    "object": {
                        "id": f"{PREFIX}{charge.payment.hex}",
                        "object": "payment_intent",
                        "amount": charge.amount,
                        "amount_received": charge.amount if outcome == "succeeded" else 0,
                        "currency": charge.currency,
                        "metadata": {"payment_id": str(charge.payment), "proposal_id": str(charge.proposal)},
                        "last_payment_error": failed,
                    }
                },
            }
        )

    def _intent(self, payment: UUID) -> Intent:
        gateway_id = f"{PREFIX}{payment.hex}"
        return Intent(gateway_id, f"{gateway_id}_secret_{_proof(self.keys[0], payment)}", "requires_payment")


def sign(payload: bytes, secret: str, *, now: int) -> str:
    """The value of the header ``Stripe-Signature``."""
    signed = hmac.new(secret.encode(), b"%d.%s" % (now, payload), hashlib.sha256).hexdigest()
    return f"t={now},v1={signed}"


def _proof(key: bytes, payment: UUID) -> str:
    return _derived(key, b"intent " + payment.bytes)


def _derived(key: bytes, purpose: bytes) -> str:
    return hmac.new(key, b"payments sandbox " + purpose, hashlib.sha256).hexdigest()[:48]
