"""Certificate pins: which public keys a client's TLS connection to this server may end at.

A pin is ``sha256/`` and the SHA-256 of a certificate's SubjectPublicKeyInfo in base64, as OkHttp and TrustKit write it.
A client accepts any of those it was given, so the next key is published before it is used.
"""

from __future__ import annotations

import base64
import binascii
from datetime import date

import msgspec

PREFIX = "sha256/"
PINS_MAX = 10
"""Of a platform: one in use, one kept in reserve, and what is being changed."""


class Pin(msgspec.Struct, frozen=True):
    """``since``: the day from which it may be met; None: it is in use."""

    pin: str
    since: date | None = None

    def __str__(self) -> str:
        return self.pin if self.since is None else f"{self.pin}@{self.since}"


class NextPin(msgspec.Struct, frozen=True, rename={"since": "from"}):
    """A pin that is not met before this day."""

    pin: str
    since: date


class CertificatePinning(msgspec.Struct, frozen=True, kw_only=True):
    """``ios``, ``android``: every pin to accept, now and next. ``next``: those that are not in use yet, so that a
    client can tell a change that was announced from one that was not."""

    ios: list[str]
    android: list[str]
    next: list[NextPin]


def read_pins(text: str) -> tuple[Pin, ...]:
    """``sha256/…=, sha256/…=@2026-12-01`` → pins. Raises ValueError."""
    found = tuple(_read(part.strip()) for part in text.split(","))
    if len({each.pin for each in found}) < len(found):
        raise ValueError("a pin is given twice")
    if len(found) > PINS_MAX:
        raise ValueError(f"at most {PINS_MAX} pins")
    if all(each.since is not None for each in found):
        raise ValueError("one pin must be without a day: the one in use")
    return found


def _read(text: str) -> Pin:
    pin, at, day = text.partition("@")
    digest = pin.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    # One spelling: spare bits of the last character would make the same key look like another.
    if not pin.startswith(PREFIX) or len(raw) != 32 or base64.b64encode(raw).decode() != digest:
        raise ValueError(f"a pin is sha256/ and the base64 of 32 bytes, not {pin!r}")
    if not at:
        return Pin(pin)
    try:
        return Pin(pin, date.fromisoformat(day))
    except ValueError:
        raise ValueError(f"the day of a pin is written 2026-12-01, not {day!r}") from None


def published(ios: tuple[Pin, ...], android: tuple[Pin, ...], *, today: date) -> CertificatePinning:
    ahead = {each.pin: each.since for each in (*ios, *android) if each.since is not None and each.since > today}
    return CertificatePinning(
        ios=[each.pin for each in ios],
        android=[each.pin for each in android],
        next=[NextPin(pin, since) for pin, since in ahead.items()],
    )
