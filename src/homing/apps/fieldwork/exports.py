"""Submissions as GeoJSON and as CSV, rendered piece by piece: an export of a million rows is never held in memory.

CSV opens in spreadsheets, and a spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula.
What a device wrote must not run on the office's machine, so such text gets an apostrophe in front; numbers stay
numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")

COLUMNS = (
    "id",
    "form",
    "form_version",
    "status",
    "team",
    "author",
    "device",
    "created_at",
    "reviewed_at",
    "review_notes",
    "lat",
    "lon",
)
"""The columns of every CSV export, before those of the form."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One submission as it is exported. ``created_at`` and ``reviewed_at`` are RFC 3339 text; ``media`` holds
    ``{"id", "key", "filename", "gps"}``; a place that is not known is None twice."""

    id: str
    form: str
    form_version: str
    status: str
    team: str | None
    author: str | None
    device: str | None
    created_at: str
    reviewed_at: str | None
    review_notes: str | None
    lat: float | None
    lon: float | None
    data: Any
    media: Any


def csv_header(fields: Sequence[str]) -> str:
    """The first line. ``fields`` are the members of the form's data; without a form there is one column ``data``."""
    return _lines([[*COLUMNS, *(fields or ["data"])]])


def csv_lines(rows: Iterable[Exported], fields: Sequence[str]) -> str:
    """A line for each submission; lists and objects inside the data as JSON."""
    return _lines([_cells(row, fields) for row in rows])


def geojson_head() -> str:
    return '{"type":"FeatureCollection","features":['


def geojson_features(rows: Iterable[Exported], *, first: bool) -> str:
    """Features, with a comma before each but the very first."""
    features = ",".join(msgspec.json.encode(_feature(row)).decode() for row in rows)
    return features if first or not features else "," + features


def geojson_tail() -> str:
    return "]}"


def _feature(row: Exported) -> dict[str, Any]:
    known = row.lat is not None and row.lon is not None
    return {
        "type": "Feature",
        "id": row.id,
        # RFC 7946: longitude first; null where the place is not known.
        "geometry": {"type": "Point", "coordinates": [row.lon, row.lat]} if known else None,
        "properties": {name: getattr(row, name) for name in COLUMNS if name not in ("id", "lat", "lon")}
        | {"data": row.data, "media": row.media},
    }


def _cells(row: Exported, fields: Sequence[str]) -> list[str]:
    own = [_cell(getattr(row, name)) for name in COLUMNS]
    if not fields:
        return [*own, _cell(row.data)]
    data = row.data if isinstance(row.data, dict) else {}
    return [*own, *(_cell(data.get(field)) for field in fields)]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return "'" + value if value.startswith(_FORMULA) else value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return msgspec.json.encode(value).decode()


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)  # RFC 4180
    return text.getvalue()
