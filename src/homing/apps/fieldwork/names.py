"""Ids and names: wherever a form is named, its id or its code will do. A code never looks like an id (the table sees to
that), so there is no doubt which is meant."""

from __future__ import annotations

from typing import Any
from uuid import UUID


def as_uuid(text: object) -> UUID | None:
    """The UUID that ``text`` spells, None where it spells none."""
    if not isinstance(text, str):
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def named_form(form: str) -> dict[str, Any]:
    """The parameters ``form`` and ``form_id`` of queries that take a form's id or its code."""
    return {"form": form, "form_id": as_uuid(form)}
