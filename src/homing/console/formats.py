"""How values are written on pages: Jinja's filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup, escape

from homing.engine.values import read_row

_KEPT_ANYWAY = frozenset({"updated_at", "updated_by", "last_updated_by"})
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


def moment(value: Any) -> str:
    """A time as the server says it; anything else as it is."""
    found = _time(value)
    return str(value) if found is None else found.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(value: Any) -> str:
    """A time for machines."""
    found = _time(value)
    return str(value) if found is None else found.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def age(value: Any, now: datetime) -> str:
    """How long ago a time was, roughly."""
    found = _time(value)
    return "" if found is None else f"{span((now - found).total_seconds())} ago"


def span(seconds: float) -> str:
    """A number of seconds, roughly."""
    left = max(0.0, seconds)
    if left < 60:
        return f"{left:.0f} s"
    if left < 3600:
        return f"{left / 60:.0f} min"
    if left < 86_400 * 2:
        return f"{left / 3600:.0f} h"
    if left < 86_400 * 90:
        return f"{left / 86_400:.0f} days"
    return f"{left / 86_400 / 30:.0f} months"


def size(count: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """With thin thousands: 12 345."""
    return f"{value:,}".replace(",", "\u202f")


def breaks(name: str) -> Markup:
    """A long name that a narrow column may break between its words: after a dot or an underscore."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[._])", name))


def figure(value: float) -> str:
    """A value of a chart, with as many places as it needs, two at most."""
    return number(int(value)) if value == int(value) else f"{value:,.2f}".replace(",", "\u202f")


def instant(seconds: float) -> datetime:
    """The moment that a chart calls so, in Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def day(value: datetime) -> str:
    """The day of a moment, in UTC: 3 Nov 2026."""
    return f"{value.astimezone(UTC):%-d %b %Y}"


def pretty(value: Any) -> str:
    """A value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def brief(value: Any, length: int = 80) -> str:
    """A value in one line, cut where it is long."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def telling(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Of changed fields those that say something: not the ones that change with every change."""
    return {name: pair for name, pair in fields.items() if name not in _KEPT_ANYWAY}


def decoded(value: msgspec.Raw | bytes | str | None) -> Any:
    """JSON that was passed through, read; None for nothing. A number that no float holds is infinite here."""
    if value is None:
        return None
    return read_row(value if isinstance(value, str) else bytes(value).decode())


def words(name: str) -> str:
    """A column's name for people: ``first_name`` → ``First name``, ``customer_id`` → ``Customer``."""
    said = name.removesuffix("_id").replace("_", " ").strip()
    return said[:1].upper() + said[1:]


def address(path: str, given: Mapping[str, Any], **changes: Any) -> str:
    """An address with a query: what was given, and what of it is to be otherwise. None and '' are left out."""
    query = {name: value for name, value in {**given, **changes}.items() if value not in (None, "")}
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def differing(values: Sequence[Any]) -> bool:
    """Whether they are not all the same; ``True`` and ``1`` are not."""
    return len({msgspec.json.encode(value, order="deterministic") for value in values}) > 1


def is_moment(value: Any) -> bool:
    """Whether it is a time as rows say it."""
    return isinstance(value, str) and _MOMENT.match(value) is not None


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "iso": iso,
    "age": age,
    "span": span,
    "size": size,
    "number": number,
    "breaks": breaks,
    "figure": figure,
    "instant": instant,
    "day": day,
    "pretty": pretty,
    "brief": brief,
    "words": words,
    "decoded": decoded,
    "telling": telling,
}
