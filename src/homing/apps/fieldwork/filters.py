"""The filters of ``/submissions``, the same for the list and both exports."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec

from homing.apps.fieldwork.names import as_uuid, named_form
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.listing import Query

Status = Literal["pending", "approved", "rejected"]


class Box(msgspec.Struct, frozen=True):
    """A map's box in degrees. One whose west is east of its east crosses the date line."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def read(cls, text: str) -> Box:
        """``west,south,east,north``. Raises Problem("invalid_parameter")."""
        try:
            west, south, east, north = (float(part) for part in text.split(","))
        except ValueError as error:
            raise _bad_box() from error
        # Written so that NaN fails too.
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
            raise _bad_box()
        return cls(west, south, east, north)


def submissions(
    caller: Caller,
    *,
    form: str | None = None,
    device: str | None = None,
    status: str | None = None,
    team: str | None = None,
    author: str | None = None,
    since: str | None = None,
    until: str | None = None,
    bbox: str | None = None,
) -> Query:
    """The caller's submissions that pass every filter that is given.

    ``form`` and ``device`` are ids or names (a form's code, a device's own identifier). A name that nothing has finds
    nothing, exactly as one that the caller may not see. Raises Problem("invalid_parameter").
    """
    params: dict[str, Any] = {}
    within: dict[str, float | None] = {}
    if caller.role != "OWNER":
        params["worker"] = {"user": caller.user_id}
    if form is not None:
        params["form"] = named_form(_text("form", form))
    if device is not None:
        params["device"] = {"device": _text("device", device), "device_id": as_uuid(device)}
    if status is not None:
        if status not in get_args(Status):
            raise Problem("invalid_parameter", f"status: one of {', '.join(get_args(Status))}")
        params[status] = {}
    for name, value in (("team", team), ("author", author)):
        if value is not None:
            params[name] = {name: _uuid(name, value)}
    for name, parameter, value in (("since", "from", since), ("until", "to", until)):
        if value is not None:
            params[name] = {name: _time(parameter, value)}
    if bbox is not None:
        box = Box.read(bbox)
        crosses = box.west > box.east
        edges = {"edge": 180.0 if crosses else box.east, "beyond": box.east if crosses else None}
        within = msgspec.structs.asdict(box) | edges
    return Query(
        "homing.apps.fieldwork",
        "list_submissions" if bbox is None else "list_submissions_in_box",
        frozenset(params),
        {name: value for each in params.values() for name, value in each.items()} | within,
    )


def _text(parameter: str, value: str) -> str:
    if "\x00" in value:
        raise Problem("invalid_parameter", f"{parameter}: NUL is in no name")
    return value


def _uuid(parameter: str, value: str) -> UUID:
    found = as_uuid(value)
    if found is None:
        raise Problem("invalid_parameter", f"{parameter}: an id is needed")
    return found


def _time(parameter: str, value: str) -> datetime:
    # A plus sign that was not escaped arrives as a space.
    try:
        moment = msgspec.convert(value.replace(" ", "+"), type=datetime)
    except msgspec.ValidationError as error:
        raise _bad_time(parameter) from error
    if moment.tzinfo is None:
        raise _bad_time(parameter)
    return moment


def _bad_time(parameter: str) -> Problem:
    return Problem("invalid_parameter", f"{parameter}: a time like 2026-01-02T03:04:05Z is needed")


def _bad_box() -> Problem:
    return Problem("invalid_parameter", "bbox: west,south,east,north in degrees, south not above north")
