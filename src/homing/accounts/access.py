"""Access tokens: short-lived JWTs that name the user, role, tenant, device and platform.

A token is only a claim. Every call asks the database whether it still holds (``caller.py``), so a revoked device is out
at once, whatever its token says. What is checked here is that we made it, for this purpose, and that it is not expired:
one algorithm, one type, keys from the database only (RFC 8725).
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from homing.accounts.keys import Keys
from homing.engine.caller import Claims
from homing.protocol.errors import Problem

ISSUER = "homing"
TYPE = "at+jwt"  # RFC 9068: no other kind of token passes for an access token
ALGORITHM = "HS256"
BYTES_MAX = 4096
"""Longer ones are not ours."""
SECONDS_MAX = 3600
"""No setting makes tokens that live longer."""
CLOCK_SKEW = timedelta(seconds=60)
"""How far the clocks of two nodes may differ before one refuses what the other just issued."""
VERIFIED_MAX = 10_000
"""Tokens whose signature is remembered, per process: about 5 MB."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly these members: ``crit``, ``jwk``, ``jku``, ``x5u`` and whatever comes next are refused."""

    alg: Literal["HS256"]
    typ: Literal["at+jwt"]
    kid: str


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    iss: Literal["homing"]
    aud: str
    sub: UUID
    sid: UUID
    role: str
    platform: str
    iat: int
    nbf: int
    exp: int
    device: str | None = None


def issue_access(
    keys: Keys,
    *,
    user_id: UUID,
    role: str,
    tenant: str,
    device_id: str | None,
    platform: str,
    session_id: UUID,
    now: datetime,
    seconds: int,
) -> str:
    """A signed token, valid for ``seconds``. ``device_id`` is the device's external identifier."""
    kid, secret = next(iter(keys.access.items()))
    payload: dict[str, Any] = {
        "iss": ISSUER,
        "aud": tenant,
        "sub": str(user_id),
        "sid": str(session_id),
        "role": role,
        "platform": platform,
        "iat": int(now.timestamp()),
        "nbf": int((now - CLOCK_SKEW).timestamp()),
        "exp": int(now.timestamp()) + seconds,
    }
    if device_id is not None:
        payload["device"] = device_id
    return jwt.encode({"alg": ALGORITHM, "typ": TYPE, "kid": kid}, payload, OctKey.import_key(secret), [ALGORITHM])


def read_access(keys: Keys, token: str, *, tenant: str, now: datetime) -> Claims:
    """What a token of ours says. Raises Problem("unauthenticated"), one answer for whatever is wrong with it."""
    return read_access_until(keys, token, tenant=tenant, now=now)[0]


def read_access_until(keys: Keys, token: str, *, tenant: str, now: datetime) -> tuple[Claims, int]:
    """What a token of ours says, and until when, in seconds of the epoch. Raises as ``read_access`` does."""
    found = keys.verified.get(token)
    if found is None:
        found = _verify(keys, token, tenant, now)
        if len(keys.verified) >= VERIFIED_MAX:
            del keys.verified[next(iter(keys.verified))]
        keys.verified[token] = found
    if now.timestamp() >= found[1]:
        keys.verified.pop(token, None)
        raise Problem("unauthenticated", "The access token is expired.")
    return found


def _verify(keys: Keys, token: str, tenant: str, now: datetime) -> tuple[Claims, int]:
    if len(token) > BYTES_MAX or not token.isascii() or not _canonical(token):
        raise Problem("unauthenticated")
    try:
        decoded = jwt.decode(token, lambda found: _key(keys, found.headers().get("kid")), algorithms=[ALGORITHM])
        msgspec.convert(decoded.header, _Header)
        payload = msgspec.convert(decoded.claims, _Payload)
    except (JoseError, msgspec.ValidationError, ValueError):
        raise Problem("unauthenticated") from None
    if payload.aud != tenant or now.timestamp() < payload.nbf or payload.exp > payload.iat + SECONDS_MAX:
        raise Problem("unauthenticated")
    claims = Claims(
        user_id=payload.sub,
        role=payload.role,
        tenant=tenant,
        platform=payload.platform,
        session_id=payload.sid,
        device_name=payload.device,
    )
    return claims, payload.exp


def _canonical(token: str) -> bool:
    """Bits of the last base64 character that are under no signature are as we write them: one token, one spelling."""
    signature = token.rpartition(".")[2]
    try:
        raw = base64.b64decode(signature + "=" * (-len(signature) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == signature


def _key(keys: Keys, kid: object) -> OctKey:
    secret = keys.access.get(kid) if isinstance(kid, str) else None
    if secret is None:
        raise ValueError("no such key")
    return OctKey.import_key(secret)
