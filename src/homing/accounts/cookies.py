"""The console's cookie: a session in a browser, where no program could keep an access token out of a script's reach.

It is a signed claim like an access token, of a type of its own, so that neither passes for the other. It lives longer
(a working day of silence), which costs nothing: every call asks the database whether the session, the user and the role
still hold (``caller.py``), so a session that was ended is out with the next click.

What a page sends back to prove that it was ours (``csrf_token``) is made from the session and the same keys: nothing
more is stored, and it ends with the session.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from homing.accounts.keys import Keys
from homing.engine.caller import Claims
from homing.protocol.errors import Problem

NAME: Final = "homing_console"
NAME_SECURE: Final = "__Host-homing_console"
"""Over https: browsers then refuse such a cookie from a subdomain, from another path, or in clear."""

ALGORITHM = "HS256"
TYPE = "hc+jwt"
BYTES_MAX = 4096
IDLE = timedelta(hours=12)
"""After this long without a page somebody signs in again: every page, but none of the parts that refresh themselves,
brings a new cookie."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["HS256"]
    typ: Literal["hc+jwt"]
    kid: str


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    iss: Literal["homing"]
    aud: str
    sub: UUID
    sid: UUID
    role: str
    iat: int
    exp: int


def write_cookie(keys: Keys, *, user_id: UUID, role: str, tenant: str, session_id: UUID, now: datetime) -> str:
    """The cookie's value, good until nothing was asked for ``IDLE``."""
    kid, secret = next(iter(keys.access.items()))
    payload: dict[str, Any] = {
        "iss": "homing",
        "aud": tenant,
        "sub": str(user_id),
        "sid": str(session_id),
        "role": role,
        "iat": int(now.timestamp()),
        "exp": int((now + IDLE).timestamp()),
    }
    return jwt.encode({"alg": ALGORITHM, "typ": TYPE, "kid": kid}, payload, OctKey.import_key(secret), [ALGORITHM])


def read_cookie(keys: Keys, value: bytes | None, *, tenant: str, now: datetime) -> Claims:
    """What a cookie of ours says. Raises Problem("unauthenticated"), one answer for whatever is wrong with it."""
    payload = _read(keys, value, tenant=tenant, now=now)
    return Claims(
        user_id=payload.sub,
        role=payload.role,
        tenant=tenant,
        platform="web",
        session_id=payload.sid,
        device_name=None,
    )


def read_end(keys: Keys, value: bytes | None, *, tenant: str, now: datetime) -> float:
    """When a cookie of ours expires, in seconds of the epoch. Raises Problem("unauthenticated")."""
    return _read(keys, value, tenant=tenant, now=now).exp


def _read(keys: Keys, value: bytes | None, *, tenant: str, now: datetime) -> _Payload:
    if value is None or len(value) > BYTES_MAX:
        raise Problem("unauthenticated")
    try:
        decoded = jwt.decode(
            value.decode("ascii"), lambda found: _key(keys, found.headers().get("kid")), algorithms=[ALGORITHM]
        )
        msgspec.convert(decoded.header, _Header)
        payload = msgspec.convert(decoded.claims, _Payload)
    except (JoseError, msgspec.ValidationError, ValueError):
        raise Problem("unauthenticated") from None
    if payload.aud != tenant or now.timestamp() >= payload.exp:
        raise Problem("unauthenticated")
    return payload


def find_cookie(headers: Iterable[tuple[bytes, bytes]], *, secure: bool) -> bytes | None:
    """The value of the console's cookie among a request's headers; None where it is missing or there twice."""
    wanted = (NAME_SECURE if secure else NAME).encode() + b"="
    found = [
        part.strip()[len(wanted) :]
        for name, value in headers
        if name == b"cookie"
        for part in value.split(b";")
        if part.strip().startswith(wanted)
    ]
    return found[0] if len(found) == 1 else None


def csrf_token(keys: Keys, session_id: UUID) -> str:
    """What forms of this session carry."""
    return _csrf(next(iter(keys.access.values())), session_id)


def is_csrf_token(keys: Keys, session_id: UUID, given: str) -> bool:
    """Whether ``given`` is this session's, by whichever key."""
    return any(
        hmac.compare_digest(_csrf(secret, session_id).encode(), given.encode()) for secret in keys.access.values()
    )


def _csrf(secret: bytes, session_id: UUID) -> str:
    return hmac.digest(secret, b"console form:" + session_id.bytes, hashlib.sha256).hex()


def _key(keys: Keys, kid: object) -> OctKey:
    secret = keys.access.get(kid) if isinstance(kid, str) else None
    if secret is None:
        raise ValueError("no such key")
    return OctKey.import_key(secret)
