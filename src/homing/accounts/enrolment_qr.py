"""QR codes of enrolment tokens, as SVG and PNG, and the tickets that let them be drawn once more.

A QR code shows the secret, and the server keeps only its hash. So the addresses of the pictures carry a *ticket*: the
secret, encrypted by the server for itself, good for five minutes, for the user who made the token and nobody else. An
address that is found in a log or a history is worth nothing without that user's access token, and soon nothing at all.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import segno
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from homing.protocol.enrolment import Invitation, Token

TICKET_SECONDS = 300
"""A page loads its pictures at once."""
QUIET_MODULES = 4
"""White modules around a code: what the standard asks for."""
PNG_PIXELS = 8
"""Pixels a module: some 500 across, enough for a screen and for paper."""
_ALGORITHMS = ["dir", "A256GCM"]


class _Ticket(msgspec.Struct, frozen=True):
    """``until`` in Unix seconds."""

    id: UUID
    maker: UUID
    secret: str
    until: int


def svg(invitation: Invitation) -> str:
    """An SVG element without a size of its own: it fills what it is put in."""
    return _code(invitation).svg_inline(border=QUIET_MODULES, omitsize=True, light="#fff")


def svg_file(invitation: Invitation) -> bytes:
    """The same as a file of its own."""
    picture = io.BytesIO()
    _code(invitation).save(picture, kind="svg", border=QUIET_MODULES, omitsize=True, light="#fff")
    return picture.getvalue()


def png(invitation: Invitation) -> bytes:
    picture = io.BytesIO()
    _code(invitation).save(picture, kind="png", scale=PNG_PIXELS, border=QUIET_MODULES)
    return picture.getvalue()


def write_ticket(keys: Mapping[str, bytes], token: Token, *, maker: UUID, now: datetime) -> str:
    """A ticket for the pictures of a token that ``maker`` has just made."""
    assert token.handle is not None
    assert token.secret is not None
    until = int((now + timedelta(seconds=TICKET_SECONDS)).timestamp())
    inside = msgspec.json.encode(_Ticket(token.handle, maker, token.secret, until))
    secret = next(iter(keys.values()))
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, inside, _key(secret), algorithms=_ALGORITHMS)


def read_ticket(
    keys: Mapping[str, bytes], ticket: str, *, enrollment_id: UUID, maker: UUID, now: datetime
) -> Token | None:
    """The token to draw; None for a ticket that is not ours, another's, of another token, or too old."""
    inside = next(filter(None, (_open(secret, ticket) for secret in keys.values())), None)
    if inside is None:
        return None
    if (inside.id, inside.maker) != (enrollment_id, maker) or inside.until < now.timestamp():
        return None
    return Token(inside.id, inside.secret)


def _open(secret: bytes, ticket: str) -> _Ticket | None:
    try:
        plain = jwe.decrypt_compact(ticket, _key(secret), algorithms=_ALGORITHMS).plaintext
        return msgspec.json.decode(plain or b"", type=_Ticket)
    except (JoseError, ValueError, msgspec.DecodeError):
        return None


def _code(invitation: Invitation) -> segno.QRCode:
    return segno.make_qr(invitation.link(), error="m")


def _key(secret: bytes) -> OctKey:
    """A key of its own purpose from the one that signs access tokens."""
    return OctKey.import_key(hmac.digest(secret, b"enrolment ticket", hashlib.sha256))
