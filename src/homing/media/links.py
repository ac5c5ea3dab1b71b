"""Signed addresses of our own, for stores that have none: whoever holds one may do one thing to one key for a while.

A signature is HMAC-SHA256 over the purpose, the key, the expiry and whatever else the address says, with the newest of
the media keys; any of them verifies, so keys can be changed while addresses are about. An address that was altered, is
for something else, or has expired gets one and the same answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

from homing.media.store import KEY
from homing.protocol.errors import Problem

UPLOAD_PATH = "/api/v1/media/upload"
DOWNLOAD_PATH = "/api/v1/media/download"
LINK_SECONDS = 300
"""How long an address works: long enough to begin, short enough that a leaked one is soon worth nothing."""


def signed_path(
    path: str, key: str, *, secrets: Sequence[bytes], expires: int, extra: Mapping[str, str] | None = None
) -> str:
    """``path/key?expires=…&…&signature=…``; ``secrets`` newest first, ``expires`` in Unix seconds, ``extra`` signed."""
    claims = {"expires": str(expires), **(extra or {})}
    query = urlencode({**claims, "signature": _sign(secrets[0], path, key, claims)}, quote_via=quote)
    return f"{path}/{quote(key)}?{query}"


def checked_key(
    path: str,
    key: str,
    query: Iterable[tuple[str, str]],
    *,
    secrets: Sequence[bytes],
    now: datetime,
    extra: Sequence[str] = (),
) -> str:
    """The key an address is for. ``key`` is what stood behind ``path``, ``query`` every parameter as it came.

    Raises Problem("invalid_link") unless the address is one we made, for this path, and still works.
    """
    given = list(query)
    claims = {name: value for name, value in given if name != "signature"}
    signature = dict(given).get("signature", "")
    whole = len(given) == len(claims) + 1 and set(claims) == {"expires", *extra} and KEY.fullmatch(key)
    genuine = any(hmac.compare_digest(_sign(s, path, key, claims).encode(), signature.encode()) for s in secrets)
    if not (whole and genuine and int(claims["expires"]) >= now.timestamp()):
        raise Problem("invalid_link")
    return key


def _sign(secret: bytes, path: str, key: str, claims: Mapping[str, str]) -> str:
    signed = "\n".join([path, quote(key), *(f"{name}={quote(claims[name], safe='')}" for name in sorted(claims))])
    return base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
