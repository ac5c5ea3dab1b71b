"""What somebody typed into a field, as the value that travels for a column of this type."""

from __future__ import annotations

from typing import Any

import msgspec

_AS_TEXT = frozenset({"text", "uuid", "date", "timestamp", "local_timestamp", "time", "decimal", "bytes"})


def read_typed(text: str, *, kind: str) -> Any:
    """The wire value. The engine checks it when it is written; this only finds out what was meant.

    An empty field of anything but text is nothing. Raises ValueError, with a sentence for whoever typed it.
    """
    if kind == "text":
        return text
    stripped = text.strip()
    if not stripped:
        return None
    if kind in _AS_TEXT:
        return stripped
    try:
        return msgspec.json.decode(stripped)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        if kind == "json":
            raise ValueError(f"This is not JSON: {error}. Text is written in quotes.") from None
        raise ValueError(f"This is no {kind}.") from None


def write_typed(value: Any, *, kind: str) -> str:
    """A value as one would type it."""
    if value is None:
        return ""
    if isinstance(value, str) and kind != "json":
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
