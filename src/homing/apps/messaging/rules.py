"""The rule of messages, as a pure function of an edit: the server's check, and a replica's
(``Replica(path, checks=rules.CHECKS)``), so that a phone says at once what the server would say hours later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from homing.declare import Edit, Refusal
from homing.declare.edits import Check

CONTENT_BYTES_MAX = 64 * 2**10
"""A long letter, many times over. What is larger is a file, and a page of changes must stay a page."""


def is_readable(edit: Edit) -> Refusal | None:
    """Something is said, and not too much."""
    content = edit.values.get("content")
    if not isinstance(content, str):
        return None
    if not content.strip():
        return Refusal("check_failed", "a message says something", "/content")
    if len(content.encode(errors="replace")) > CONTENT_BYTES_MAX:
        return Refusal("too_large", f"a message may have {CONTENT_BYTES_MAX} bytes", "/content")
    return None


CHECKS: Final[Mapping[str, Sequence[Check]]] = {"messaging.message": (is_readable,)}
"""Resource type → its rules."""
