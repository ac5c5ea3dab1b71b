"""What a form sent: text by name, read once, bounded and strict.

A browser's form is ``application/x-www-form-urlencoded``. It is read by the guard, which looks for the CSRF token in
it, before any handler runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from litestar import Request
from litestar.types import Scope

from homing.protocol.errors import Problem

BYTES_MAX = 2 * 2**20
"""More than any form of ours; a long text of a row, encoded, and what it was before."""
FIELDS_MAX = 2000
SECONDS_MAX = 30.0
FORM_KEY = "homing.form"


class Form:
    """The fields of a form. Each reader raises Problem("invalid_parameter"), naming the field.

    Not a dataclass, because handlers take it as an argument, and Litestar converts dataclasses field by field.
    """

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self.fields = fields

    def maybe(self, name: str) -> str | None:
        """The text, without blanks around it; None where there is none."""
        found = self.fields.get(name, [])
        if len(found) > 1:
            raise Problem("invalid_parameter", f"{name} is given twice.")
        return (found[0].strip() or None) if found else None

    def raw(self, name: str) -> str | None:
        """The text exactly as it was typed; None where the form has no such field."""
        found = self.fields.get(name, [])
        if len(found) > 1:
            raise Problem("invalid_parameter", f"{name} is given twice.")
        return found[0] if found else None

    def text(self, name: str) -> str:
        """The text, which must not be blank."""
        found = self.maybe(name)
        if found is None:
            raise Problem("invalid_parameter", f"{name} is missing.")
        return found

    def number(self, name: str) -> int:
        try:
            return int(self.text(name))
        except ValueError:
            raise Problem("invalid_parameter", f"{name} is no whole number.") from None

    def flag(self, name: str) -> bool:
        """Whether a checkbox was ticked."""
        return bool(self.maybe(name))

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be there several times."""
        return list(self.fields.get(name, []))


def provide_form(scope: Scope) -> Form:
    found: Form = scope[FORM_KEY]  # type: ignore[literal-required]
    return found


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """The request's form; an empty one where it has no body.

    Raises Problem: unsupported_media_type, too_large, too_slow, invalid_parameter.
    """
    body = await _receive(request)
    if not body:
        return Form({})
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem("unsupported_media_type", "Forms are sent as application/x-www-form-urlencoded.")
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, encoding="utf-8", errors="strict"
        )
    except (UnicodeDecodeError, ValueError):
        raise Problem("invalid_parameter", "The form is not text in UTF-8, or has too many fields.") from None
    # A browser sends line breaks of a textarea as CR LF, whatever was in it before.
    clean = {name: [value.replace("\r\n", "\n") for value in values] for name, values in fields.items()}
    if any("\0" in text for name, values in clean.items() for text in (name, *values)):
        raise Problem("invalid_parameter", "NUL, which no text may hold.")
    return Form(clean)


async def _receive(request: Request[Any, Any, Any]) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                message = await request.receive()
                if message["type"] != "http.request":
                    raise Problem("invalid_parameter", "The connection closed within the form.")
                size += len(message["body"])
                if size > BYTES_MAX:
                    raise Problem("too_large", f"A form may have {BYTES_MAX} bytes.", limit=BYTES_MAX)
                pieces.append(message["body"])
                if not message["more_body"]:
                    return b"".join(pieces)
    except TimeoutError:
        raise Problem("too_slow", f"The form did not arrive within {SECONDS_MAX:.0f} seconds.") from None
