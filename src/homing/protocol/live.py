"""Live messages: what travels over ``GET /api/v1/live``, both ways, as JSON.

A client of a WebSocket sends ``subscribe`` first, and ``token`` whenever it has a newer access token. Everything else
goes the other way. Fields may be added, never renamed or removed; a client ignores types it does not know.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from homing.protocol.errors import Problem

FIRST_SECONDS_MAX = 10
"""Seconds in which a new WebSocket must say who it is for. A phone on the worst line needs three."""
INCOMING_BYTES_MAX = 32 * 2**10
"""Bytes of a message to the server: an access token and a sync token at their longest, and room."""
HEARTBEAT_SECONDS = 15
"""Seconds between heartbeats. The contract says at most 20: proxies cut what says nothing for 30 or 60."""


class Subscribe(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="subscribe"):
    """Begin. ``token`` is the access token, ``since_token`` the sync token to go on from (None: from nothing);
    ``tables`` narrows as it does in a pull, and must be what a given ``since_token`` was narrowed to."""

    token: str
    since_token: str | None = None
    tables: list[str] | None = None


class Prolong(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="token"):
    """A newer access token of the same session, so that the socket outlives the first one."""

    token: str


class Update(msgspec.Struct, kw_only=True, tag="entity_update", rename={"resource_type": "entity"}):
    """One change, in the order to apply them in.

    ``data`` is null where the row leaves (``action`` delete; ``reason`` says why). ``next_token`` is what the client
    has after it. Of several changes that belong together all but the last carry a token that says "some of it", with
    which a cut in between loses nothing. ``has_more`` is false when the replica then equals the server. ``userId`` made
    the change; None where that is not known.
    """

    resource_type: str
    id: str
    action: Literal["create", "update", "delete"]
    data: msgspec.Raw
    server_version: int | None
    timestamp: str
    userId: str | None  # noqa: N815 - the contract's name
    has_more: bool
    next_token: str
    reason: Literal["deleted", "out_of_scope"] | msgspec.UnsetType = msgspec.UNSET


class Current(msgspec.Struct, kw_only=True, tag="current"):
    """The client has everything up to this instant; from here on it hears of changes as they happen."""

    next_token: str
    timestamp: str


class Presence(msgspec.Struct, kw_only=True, tag="presence"):
    """Somebody came or went. Told to the office and to web users."""

    userId: str  # noqa: N815 - the contract's name
    online_status: bool
    last_seen: str


class ConflictResolved(msgspec.Struct, kw_only=True, tag="conflict_resolved"):
    """A conflict was decided. Told to the user whose edit it was and to the office; the row comes by itself."""

    id: str
    resource_type: str
    row_id: str
    resolution: Literal["accept_server", "accept_client", "merged"]
    resolved_by: str | None
    resolved_at: str
    notes: str | None


class Notification(msgspec.Struct, kw_only=True, tag="notification"):
    """The user was notified of something, as ``GET /notifications`` lists it. Told to all of their connections."""

    id: int
    notification_type: str
    title: str
    body: str
    data: dict[str, str]
    sent_at: str


class Heartbeat(msgspec.Struct, kw_only=True, tag="heartbeat"):
    timestamp: str


class Bye(msgspec.Struct, kw_only=True, tag="bye"):
    """The last message: why, and what the client does next (the actions of the catalogue of errors)."""

    action: str
    code: str
    detail: str


FromClient = Subscribe | Prolong
ToClient = Update | Current | Presence | ConflictResolved | Notification | Heartbeat | Bye

_decoder = msgspec.json.Decoder(FromClient)


def decode_from_client(text: str | bytes) -> Subscribe | Prolong:
    """Raises Problem("invalid_envelope"), saying what is not understood."""
    try:
        found: Subscribe | Prolong = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("invalid_envelope", f"The message is not understood: {error}") from None
    return found


def bye(problem: Problem) -> bytes:
    """The last message of a connection that ends because of ``problem``."""
    return msgspec.json.encode(Bye(action=problem.code.action.value, code=problem.code.code, detail=problem.detail))
