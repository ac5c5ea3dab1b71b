"""Which tenant a request is for: pure, and before anything is believed.

Three things can name a tenant: the audience of the access token, the header ``X-Homing-Tenant``, and the host name.
Header and host say where the request was sent; the token says where its bearer is at home. They must agree. The token
is not verified here: whatever tenant it names, it is that tenant's keys that must verify it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from homing.tenants.entry import DEFAULT

HEADER = "x-homing-tenant"
TOKEN_CHARS_MAX = 4096
"""Longer ones are nobody's (``accounts.access``)."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Token, header and host name different tenants."""


class _Audience(msgspec.Struct):
    aud: str = DEFAULT


_decode = msgspec.json.Decoder(_Audience).decode


def place_of(by_host: Mapping[str, str], *, host: bytes | None, header: bytes | None) -> str | Contradiction | None:
    """The tenant that a request was sent to, as its header or its host say; None where neither says anything.

    A host that is nobody's (an address, the name of the machine) says nothing.
    """
    by_name = by_host.get(_host_name(host)) if host is not None and by_host else None
    if header is None:
        return by_name
    named = header.decode("latin-1").strip()
    return named if by_name is None or by_name == named else Contradiction()


def choose(place: str | Contradiction | None, audience: str | None) -> str | Contradiction:
    """The tenant of a request, from where it was sent and what its token says."""
    if isinstance(place, Contradiction):
        return place
    if audience is None:
        return DEFAULT if place is None else place
    return audience if place is None or place == audience else Contradiction()


def audience_of(authorization: bytes | None) -> str | None:
    """The tenant that an access token claims to be for; None where there is nothing readable."""
    if authorization is None or len(authorization) > TOKEN_CHARS_MAX:
        return None
    parts = authorization.rpartition(b" ")[2].split(b".")
    if len(parts) != 3:
        return None
    payload = parts[1]
    try:
        return _decode(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))).aud
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _host_name(host: bytes) -> str:
    """Of a Host header: in lower case, without port and final dot."""
    name = host.decode("latin-1").strip().lower()
    if not name.endswith("]"):
        head, colon, port = name.rpartition(":")
        if colon and port.isdigit():
            name = head
    return name.rstrip(".")
