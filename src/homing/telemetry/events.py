"""Events: what people did, told by their devices and browsers, each counted once however often it is sent.

They come in batches, and one that is not fit costs itself alone: the others are kept, and each gets its result. An
event is told apart by the id that its client gave it, otherwise by all it says; with ids, two equal events at one
instant are two. ``POST /telemetry`` takes events beside metrics, whole or not at all like those, by the same statement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from homing.engine.caller import Caller
from homing.postgres.codec import json_problem
from homing.postgres.database import Database
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.telemetry.metrics import NAME_CHARS_MAX, is_name, read_time, write_time

WEB: Final = frozenset({"web", "browser", "desktop", "windows", "macos", "linux"})
"""What ``deviceInfo.platform`` says of a browser; everything else is a phone's or a tablet's."""

Platform = Literal["web", "mobile"]
Short = Annotated[str, Meta(max_length=100)]


class DeviceInfo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``version`` is the system's."""

    platform: Annotated[str, Meta(min_length=1, max_length=100)]
    version: Short | None = None
    model: Short | None = None


class Event(
    msgspec.Struct,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"device_info": "deviceInfo"},
):
    """``timestamp`` is when it happened, by the device's clock."""

    event: Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    timestamp: str
    properties: dict[str, Any] = {}
    device_info: DeviceInfo | None = None
    id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class EventsRequest(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"device_info": "deviceInfo"}, omit_defaults=True
):
    """One event as it is, or ``events``: many. What is wrong with one of many is found out one by one."""

    events: list[msgspec.Raw] | None = None
    event: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    timestamp: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    device_info: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    id: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class EventResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``index`` is the event's place in the batch. ``code``, ``detail`` and ``path`` only of an error."""

    index: int
    status: Literal["ok", "duplicate", "error"]
    id: str | None = None
    code: str | None = None
    detail: str | None = None
    path: str | None = None


class EventsAnswer(msgspec.Struct, kw_only=True):
    """``results`` in the order of the events."""

    accepted: int
    duplicates: int
    refused: int
    results: list[EventResult]


@dataclass(frozen=True, slots=True)
class Known:
    """An event that is fit to be kept. ``key``: equal for what counts once."""

    key: UUID
    event: Event
    at: datetime


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why an event is refused, and where in it."""

    problem: Problem
    id: str | None = None


_decoder = msgspec.json.Decoder(Event)


async def take_events(
    db: Database, *, caller: Caller, request: EventsRequest, events_max: int, bytes_max: int
) -> EventsAnswer:
    """Keep what is fit and new.

    Raises Problem: too_many_items, invalid_envelope; for a single event also too_large.
    """
    single = request.events is None
    raw = [_single(request)] if request.events is None else request.events
    if not single and any(_parts(request)):
        raise Problem("invalid_envelope", "Either one event or a list of events.", path="/events")
    if len(raw) > events_max:
        raise Problem("too_many_items", f"A batch may have {events_max} events.", limit=events_max)
    read = [_read(each, bytes_max) for each in raw]
    if single and isinstance(read[0], Unfit):
        raise _of_request(read[0].problem)
    async with db.transaction(actor=str(caller.user_id), device=caller.device_id) as conn:
        new = await keep_events(conn, caller=caller, events=[each for each in read if isinstance(each, Known)])
    return _answer(read, new)


async def keep_events(conn: Connection, *, caller: Caller, events: Sequence[Known]) -> set[UUID]:
    """Keep those that are new; their keys. One statement."""
    first = {known.key: known for known in reversed(events)}
    if not first:
        return set()
    rows = [_row(known, caller) for known in first.values()]
    params = {"user_id": caller.user_id, "device_id": caller.device_id, "events": msgspec.json.encode(rows).decode()}
    return {key for (key,) in await fetch_all(conn, load("homing.telemetry", "keep_events"), params)}


def known_event(event: Event, path: str = "") -> Known:
    """Check what types do not say. Raises Problem("invalid_value") with the place, which begins with ``path``."""
    if not is_name(event.event):
        raise _invalid(f"{path}/event", "printable words with single spaces between them are needed")
    if sentence := json_problem(event.properties):
        raise _invalid(f"{path}/properties", sentence)
    said = [event.id, *(() if event.device_info is None else msgspec.structs.astuple(event.device_info))]
    if any(text is not None and "\0" in text for text in said):
        raise _invalid(path or "/", "NUL cannot be stored")
    try:
        at = read_time(event.timestamp)
    except ValueError as error:
        raise _invalid(f"{path}/timestamp", str(error)) from error
    return Known(_key(event, at), event, at)


def known_events(events: Sequence[Event], *, events_max: int) -> list[Known]:
    """Events that are taken all or none. Raises Problem: too_many_items, invalid_envelope with the place."""
    if len(events) > events_max:
        raise Problem("too_many_items", f"A batch may have {events_max} events.", limit=events_max)
    try:
        return [known_event(event, f"/events/{place}") for place, event in enumerate(events)]
    except Problem as problem:
        raise _of_request(problem) from None


def _key(event: Event, at: datetime) -> UUID:
    if event.id is not None:
        said = b"id " + event.id.encode()
    else:
        whole = msgspec.structs.replace(event, timestamp=write_time(at))
        said = b"all " + msgspec.json.encode(whole, order="sorted")
    return UUID(bytes=hashlib.sha256(said).digest()[:16])


def _row(known: Known, caller: Caller) -> dict[str, Any]:
    info = known.event.device_info
    os = None if info is None else info.platform
    return {
        "key": known.key,
        "event": known.event.event,
        "properties": known.event.properties,
        "platform": platform_of(os or caller.platform),
        "os": os,
        "os_version": None if info is None else info.version,
        "model": None if info is None else info.model,
        "said_at": write_time(known.at),
    }


def platform_of(said: str) -> Platform:
    """Web or mobile, by what a client calls its platform."""
    return "web" if said.strip().lower() in WEB else "mobile"


def _single(request: EventsRequest) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(_parts(request)))


def _parts(request: EventsRequest) -> dict[str, msgspec.Raw]:
    """What was said of a single event."""
    parts = {
        "event": request.event,
        "timestamp": request.timestamp,
        "properties": request.properties,
        "deviceInfo": request.device_info,
        "id": request.id,
    }
    return {name: part for name, part in parts.items() if bytes(part)}


def _read(raw: msgspec.Raw, bytes_max: int) -> Known | Unfit:
    data = bytes(raw)
    if len(data) > bytes_max:
        return Unfit(Problem("too_large", f"An event may have {bytes_max} bytes.", limit=bytes_max))
    try:
        event = _decoder.decode(data)
    except msgspec.ValidationError as error:
        return Unfit(Problem("invalid_value", str(error)))
    try:
        return known_event(event)
    except Problem as problem:
        return Unfit(problem, None if event.id is None else event.id.replace("\0", ""))


def _answer(read: Sequence[Known | Unfit], new: set[UUID]) -> EventsAnswer:
    results = []
    left = set(new)
    for index, each in enumerate(read):
        if isinstance(each, Unfit):
            problem = each.problem
            path = problem.extra.get("path")
            results.append(
                EventResult(
                    index=index,
                    status="error",
                    id=each.id,
                    code=problem.code.code,
                    detail=problem.detail,
                    path=path if isinstance(path, str) else None,
                )
            )
        else:
            status: Literal["ok", "duplicate"] = "ok" if each.key in left else "duplicate"
            left.discard(each.key)
            results.append(EventResult(index=index, status=status, id=each.event.id))
    return EventsAnswer(
        accepted=len(new),
        duplicates=sum(each.status == "duplicate" for each in results),
        refused=sum(each.status == "error" for each in results),
        results=results,
    )


def _of_request(problem: Problem) -> Problem:
    """What refuses one item of many, as what refuses a request."""
    if problem.code.status is not None:
        return problem
    return Problem("invalid_envelope", problem.detail, **problem.extra)


def _invalid(path: str, sentence: str) -> Problem:
    return Problem("invalid_value", f"{path}: {sentence}", path=path)
