"""What is sent, and what can become of it: the same words for every carrier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homing.accounts.push_tokens import Keys, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notification for one device. ``attempt`` counts from 1; ``expires`` is when it is worth nothing any more."""

    delivery: int
    attempt: int
    notification: int
    token_id: int
    kind: str
    title: str
    body: str
    data: Mapping[str, str]
    collapse: str | None
    urgent: bool
    expires: datetime
    provider: Provider
    address: str
    keys: Keys | None

    @property
    def payload(self) -> dict[str, str]:
        """What the app gets beside the words: which notification it is, its kind, and the kind's ids."""
        return {**self.data, "notification_id": str(self.notification), "type": self.kind}

    def seconds_left(self, now: datetime) -> int:
        return max(0, int((self.expires - now).total_seconds()))


@dataclass(frozen=True, slots=True)
class Accepted:
    """The carrier has it. ``name``: its own name for it. ``receipt``: it says later whether it got through."""

    name: str | None = None
    receipt: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """There is no carrier to give it to."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The token is dead: nothing will ever get through. ``since``: unless it was registered again after this."""

    reason: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. ``seconds``: not before, where the carrier says so."""

    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not be taken, however often it is sent."""

    reason: str


Outcome = Accepted | Logged | Gone | Later | Refused
Say = Callable[[Message, Outcome], None]


class Carrier(Protocol):
    """A way to devices. ``send`` says of each message what became of it as soon as it knows, and raises for none."""

    async def send(self, messages: Sequence[Message], now: datetime, say: Say) -> None: ...

    async def close(self) -> None: ...
