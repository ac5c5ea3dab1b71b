"""What travels when a phone is enrolled: the token and how it is spelled, the link in the QR code, what a key signs.

A token has two halves. The *handle* is public: a UUID, by which the office and the phone speak of it. The *secret* is
128 random bits, shown once and kept by the server as a hash. A secret has one spelling, made for being read aloud:
Crockford's base32, 26 characters and two that check the others, so that a slip of the keyboard is noticed on the
phone. Together they are ``handle.secret``; the secret alone, in groups of four, is the manual code.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No I, L, O and U: they are taken for 1, 1, 0 and V."""
SECRET_BYTES = 16
CODE_CHARACTERS = 26
CHECK_MODULUS = 1021
"""The largest prime that two characters can hold: every single wrong character and every swap of two shows."""
GROUP = 4
LINK = "homing://enroll"

_READ = {**{character: n for n, character in enumerate(ALPHABET)}, "I": 1, "L": 1, "O": 0}


class NotACodeError(ValueError):
    """What was read or typed is no token, code or link of ours. The message is for the person who typed it."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was given: either half may be missing. ``secret`` is the spelled form, without hyphens."""

    handle: UUID | None
    secret: str | None

    def __str__(self) -> str:
        return ".".join(str(half) for half in (self.handle, self.secret) if half is not None)


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a QR code carries. ``fingerprint`` is that of the server's key (RFC 7638)."""

    url: str
    tenant: str
    token: Token
    fingerprint: str

    def link(self) -> str:
        """The deep link, which is also what the QR code says."""
        parts = {"url": self.url, "tenant": self.tenant, "token": str(self.token), "key": self.fingerprint}
        return f"{LINK}?{urlencode(parts, quote_via=quote)}"


def new_secret() -> str:
    """A secret of 128 random bits, spelled."""
    return spell(secrets.token_bytes(SECRET_BYTES))


def spell(secret: bytes) -> str:
    """26 characters and two to check them."""
    number = int.from_bytes(secret)
    return _base32(number, CODE_CHARACTERS) + _base32(number % CHECK_MODULUS, 2)


def grouped(secret: str) -> str:
    """The manual code: ``7ZQX-K4MN-…``."""
    return "-".join(secret[at : at + GROUP] for at in range(0, len(secret), GROUP))


def read_secret(text: str) -> str:
    """A secret as somebody typed it, in its one spelling. Raises NotACodeError."""
    typed = text.upper().replace("-", "").replace(" ", "")
    digits = [_READ.get(character) for character in typed]
    if len(digits) != CODE_CHARACTERS + 2:
        raise NotACodeError(f"a code has {CODE_CHARACTERS + 2} letters and digits, this one has {len(digits)}")
    number = check = 0
    for at, digit in enumerate(digits):
        if digit is None:
            raise NotACodeError(f"{typed[at]!r} is in no code")
        if at < CODE_CHARACTERS:
            number = number * 32 + digit
        else:
            check = check * 32 + digit
    if number >> (8 * SECRET_BYTES) or number % CHECK_MODULUS != check:
        raise NotACodeError("a letter or digit of the code is wrong")
    return spell(number.to_bytes(SECRET_BYTES))


def read_token(text: str) -> Token:
    """A handle, ``handle.secret``, or a manual code. Raises NotACodeError."""
    handle, dot, secret = text.strip().partition(".")
    if dot:
        return Token(_handle(handle), read_secret(secret))
    if len(handle) == 36:
        return Token(_handle(handle), None)
    return Token(None, read_secret(handle))


def read_link(text: str) -> Invitation:
    """What a QR code or deep link says. Raises NotACodeError."""
    start, _, query = text.strip().partition("?")
    found = dict(parse_qsl(query))
    if start != LINK or not {"url", "tenant", "token", "key"} <= set(found):
        raise NotACodeError("this is no link to enrol with")
    if not found["url"].startswith(("https://", "http://")):
        raise NotACodeError("the link names no server")
    return Invitation(found["url"], found["tenant"], read_token(found["token"]), found["key"])


def hashed(secret: str) -> bytes:
    """What is kept of a secret. 128 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def enrolment_proof(*, handle: UUID, device: str, fingerprint: str) -> bytes:
    """What a device's key signs to be enrolled: this token, this name, at this server. The token is used once, so
    nothing need be asked for first."""
    return _proof("enroll", device, str(handle), fingerprint)


def session_proof(*, purpose: str, device: str, challenge: str, subject: str) -> bytes:
    """What a device's key signs to ``login`` or ``refresh``: the server's challenge, and for what it is to count. The
    ``subject`` (login or refresh token) stands as its hash: who sees the signature can use it for nothing else."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(subject.encode()).digest()).decode().rstrip("=")
    return _proof(purpose, device, challenge, digest)


def _proof(*lines: str) -> bytes:
    return "\n".join(("homing-device-proof-1", *lines)).encode()


def _handle(text: str) -> UUID:
    try:
        handle = UUID(text)
    except ValueError:
        raise NotACodeError("this is no token to enrol with") from None
    if str(handle) != text.lower():
        raise NotACodeError("this is no token to enrol with")
    return handle


def _base32(number: int, characters: int) -> str:
    text = ""
    for _ in range(characters):
        number, digit = divmod(number, 32)
        text = ALPHABET[digit] + text
    return text
