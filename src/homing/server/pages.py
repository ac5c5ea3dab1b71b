"""Lists, a page at a time: ``?limit=&after=`` → ``{"items": [...], "next": cursor or null}``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from homing.protocol.errors import Problem

T = TypeVar("T")

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
"""Items of a list: a screenful many times over; whoever wants all of them follows ``next``."""

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description="Items to return at most.")]
After = Annotated[str | None, QueryParameter(max_length=2000, description="`next` of the page before.")]
Search = Annotated[str | None, QueryParameter(min_length=1, max_length=200, description="Text to look for.")]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """``next`` is the cursor of the following page; None on the last one."""

    items: list[T]
    next: str | None


def page_of(found: Sequence[T], *, limit: int, place: Callable[[T], Sequence[Any]]) -> Page[T]:
    """A page from ``found``, which was read with a limit of ``limit + 1``: the one too many says that there is more.

    ``place`` gives the values that the list is ordered by.
    """
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items, write_cursor(*place(items[-1])) if more else None)


def write_cursor(*place: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(after: str | None, kind: type[T]) -> T | None:
    """The place behind which a page begins, as a ``kind`` (a tuple type); None without ``after``.

    Raises Problem("invalid_parameter") for what is no cursor of this list.
    """
    if after is None:
        return None
    try:
        raw = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from None
