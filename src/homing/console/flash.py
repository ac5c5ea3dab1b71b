"""A message for the next page: what came of a form. It travels in a cookie that the next page takes away."""

from __future__ import annotations

import base64
import binascii
from typing import Final, Literal

import msgspec

NAME: Final = "homing_flash"
TEXT_MAX = 500
SECONDS = 60
"""A message that no page took is stale after this."""

Tone = Literal["good", "bad"]


class Flash(msgspec.Struct, frozen=True):
    tone: Tone
    text: str


def good(text: str) -> Flash:
    return Flash("good", text[:TEXT_MAX])


def bad(text: str) -> Flash:
    return Flash("bad", text[:TEXT_MAX])


def write(flash: Flash) -> str:
    """The cookie's value."""
    return base64.urlsafe_b64encode(msgspec.json.encode(flash)).decode()


def read(value: str | None) -> Flash | None:
    """The message in a cookie; None where there is none that is ours. It is shown as text, so it need not be signed."""
    if not value or len(value) > 4 * TEXT_MAX * 4:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(value), type=Flash)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
