"""Somebody connected, as the hub knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from homing.engine.caller import Claims
from homing.engine.live_audience import Group
from homing.engine.live_callers import Badge
from homing.protocol.errors import Problem
from homing.protocol.token import Snapshot, Token


class Outlet(Protocol):
    """A connection, as the hub sees it. Nothing here waits."""

    def send(self, messages: Sequence[bytes], token: bytes | None = None) -> bool:
        """Send JSON texts. ``token``: what the client has after the last. False: more waits for it than may."""

    def close(self, problem: Problem) -> None:
        """Send the bye, and end the connection."""

    async def drained(self) -> None:
        """Return when most of what was sent has left. Raises Problem("too_slow_reader")."""


class Subscriber:
    """Somebody connected. ``token`` is what the client has; the members below it say what is in it."""

    __slots__ = (
        "at", "badge", "claims", "group", "names", "outlet", "state", "text", "token", "until", "user",
        "watches_presence",
    )  # fmt: skip

    def __init__(self, claims: Claims, until: float, outlet: Outlet) -> None:
        self.claims = claims
        self.badge = Badge.of(claims)
        self.until = until
        """When the access token expires, in seconds of the epoch."""
        self.outlet = outlet
        self.user = claims.user_id.bytes
        self.at: Snapshot | None = None
        """The instant at which the client equals the server: that of its token, or later when nothing was new since."""
        self.token: Token | None = None
        self.text: bytes | None = None
        self.names: list[str] | None = None
        self.group: Group[Subscriber] | None = None
        self.watches_presence = False
        self.state = "joining"

    @property
    def gone(self) -> bool:
        return self.state == "gone"
