"""What a gateway is asked, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

Status = Literal["created", "requires_payment", "processing", "failed", "canceled", "succeeded"]
"""``created``: written down, the gateway has not answered yet. ``failed``: an attempt was declined; another may follow.
By rank; ``succeeded`` is last because then money moved, whatever was said before."""

RefundStatus = Literal["requested", "pending", "succeeded", "failed"]
"""``requested``: written down, the gateway has not answered yet. By rank; ``failed`` is last, because a bank may send
back what had arrived."""

SETTLED: frozenset[Status] = frozenset({"canceled", "succeeded"})


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be paid: ``amount`` in the currency's minor units. ``payment`` is the row's id, and the key under
    which the gateway creates at most one intent."""

    payment: UUID
    amount: int
    currency: str
    proposal: UUID


@dataclass(frozen=True, slots=True)
class Intent:
    """A gateway's own row of the payment; ``gateway_id`` is None where it refused to make one. Whoever has the
    ``client_secret`` may confirm it: it goes to the client who pays, and is stored nowhere."""

    gateway_id: str | None
    client_secret: str
    status: Status


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund as the gateway knows it. ``refund`` is our row's id, None where it was made at the gateway."""

    gateway_id: str
    refund: UUID | None
    amount: int
    status: RefundStatus
    error: str | None = None


class Gateway(Protocol):
    """All calls may take seconds, and raise Problem: unavailable (ask again), payment_refused."""

    @property
    def name(self) -> str: ...

    async def create(self, charge: Charge) -> Intent:
        """The intent of this payment; the same one however often it is asked for."""
        ...

    async def find(self, gateway_id: str) -> Intent:
        """An intent that was created before."""
        ...

    async def refund(self, gateway_id: str, refund: UUID, amount: int) -> Refunded:
        """Give back so much of an intent; once, however often it is asked for with this ``refund`` within a day."""
        ...

    async def refunds(self, gateway_id: str) -> list[Refunded]:
        """Every refund of an intent, also those that somebody made at the gateway."""
        ...

    def webhook_secrets(self) -> tuple[str, ...]:
        """What events may be signed with; several while one is replaced."""
        ...
