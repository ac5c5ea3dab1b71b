"""Push tokens: where somebody's phone or browser can be notified.

A client sends one text, whatever its vendor calls it; which vendor's it is shows in its form. Each app or browser that
somebody is signed in with has one token at a time, and a token is one person's: who registers it last.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from msgspec import Meta
from psycopg.types.json import Jsonb

from homing.engine.caller import Caller
from homing.postgres.sql import Connection, execute, load
from homing.protocol.errors import Problem

Platform = Literal["ios", "android", "web"]
Provider = Literal["fcm", "apns", "webpush", "expo"]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
"""A token as a client sends it; a browser's is its whole subscription as JSON."""

ADDRESS_MAX = 2048
"""Characters of a token or endpoint: real ones have less than half, and it is an index key."""

_EXPO = re.compile(r"Expo(?:nent)?PushToken\[[!-Z^-~]{1,200}\]")
_APNS = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
_PRINTABLE = re.compile(rf"[!-~]{{1,{ADDRESS_MAX}}}")
_DEVICE_TYPES: Mapping[str, Platform] = MappingProxyType(
    {"ios": "ios", "iphone": "ios", "ipad": "ios", "android": "android", "web": "web", "browser": "web"}
)


class Keys(msgspec.Struct, frozen=True):
    p256dh: str
    auth: str


class Subscription(msgspec.Struct, frozen=True):
    """A browser's ``PushSubscription`` as it makes itself JSON."""

    endpoint: str
    keys: Keys


@dataclass(frozen=True, slots=True)
class PushToken:
    """``keys``: a browser's, what its messages are encrypted for."""

    provider: Provider
    platform: Platform
    address: str
    keys: Keys | None = None


def recognise(text: str, platform: Platform | None, *, private: bool) -> PushToken:
    """Which vendor's token this is. ``platform``: as the client says; None: as the token's form suggests.
    ``private``: endpoints need not be public ones.

    Raises Problem("invalid_envelope") for what is nobody's.
    """
    if text.lstrip().startswith("{"):
        return _subscription(text, platform or "web", private=private)
    if not _PRINTABLE.fullmatch(text):
        raise _wrong(f"a token is up to {ADDRESS_MAX} printable characters without spaces, or a subscription as JSON")
    if _EXPO.fullmatch(text):
        return PushToken("expo", platform or "android", text)
    if platform in (None, "ios") and _APNS.fullmatch(text):
        return PushToken("apns", "ios", text.lower())
    return PushToken("fcm", platform or "android", text)


def platform_of(device_type: str) -> Platform | None:
    """The platform of a device that described itself; None where that does not say."""
    return _DEVICE_TYPES.get(device_type.lower())


async def keep(
    conn: Connection, caller: Caller, token: PushToken, *, device_id: UUID | None, most: int, now: datetime
) -> None:
    """This token is the caller's, in this session and on this device, in place of the one they had there; of a person's
    tokens the ``most`` newest stay."""
    params = {
        "user": caller.user_id,
        "session": caller.session_id,
        "device": device_id,
        "provider": token.provider,
        "platform": token.platform,
        "address": token.address,
        "keys": None if token.keys is None else Jsonb(msgspec.to_builtins(token.keys)),
        "most": most,
        "now": now,
    }
    await execute(conn, load(__package__, "replace_push_tokens"), params)
    await execute(conn, load(__package__, "keep_push_token"), params)


async def forget(conn: Connection, caller: Caller) -> bool:
    """Nothing is pushed to the caller's device or browser any more; whether anything was."""
    params = {"session": caller.session_id, "device": caller.device_id}
    return await execute(conn, load(__package__, "forget_push_tokens"), params) > 0


def _subscription(text: str, platform: Platform, *, private: bool) -> PushToken:
    try:
        given = msgspec.json.decode(text, type=Subscription)
        point, secret = _bytes(given.keys.p256dh), _bytes(given.keys.auth)
        parts = urlsplit(given.endpoint)
        port = parts.port
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except (msgspec.DecodeError, ValueError) as error:
        raise _wrong(f"a subscription is {{endpoint, keys: {{p256dh, auth}}}}: {error}") from None
    if len(point) != 65 or len(secret) != 16:
        raise _wrong("p256dh has 65 bytes and auth 16")
    if not _PRINTABLE.fullmatch(given.endpoint) or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise _wrong("the endpoint is no address")
    if not (parts.scheme == "https" or (private and parts.scheme == "http")):
        raise _wrong("the endpoint is an https address")
    if not private and (port not in (None, 443) or _is_private(parts.hostname)):
        raise _wrong("the endpoint is not a public carrier")
    return PushToken("webpush", platform, given.endpoint, given.keys)


def _is_private(host: str) -> bool:
    """Only what shows in the name; what a name leads to is looked at whenever something is sent."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _wrong(detail: str) -> Problem:
    return Problem("invalid_envelope", f"pushToken: {detail}.")
