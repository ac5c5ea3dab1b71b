"""Initial data: what a phone shows before its first ordinary pull, the most useful rows first, in spec 4's members.

How many of each are sent is the office's to say (``marketplace.offline_cache_metadata``). What was left out, and what
changes meanwhile, the next ordinary pull brings: the answer ends with its token (``homing.engine.first``).

A load goes through the sections in order, some hundred rows at a time, each time in a snapshot and on a connection of
its own: however much a user has, and however slowly a phone reads, no more than that is held. Where a load stopped at
the client's ``limit``, a cursor says how to go on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from homing.engine import first, pull
from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.first import FirstLoad
from homing.engine.tables import BoundTable
from homing.notify import preferences
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.protocol.messages import PullRequest

ROWS_AT_FIRST: Final = 250
ROWS_AT_ONCE_MAX: Final = 2000
BYTES_AT_ONCE: Final = 2**20
"""Rows read with one statement and sent with one write: few at first, then as many as fill about these bytes, by the
size of those before. Each time the user's rights are asked anew, which costs as much as some hundred rows."""
SAMPLE_ROWS: Final = 25
"""Rows of a section that an estimate of its size looks at."""
CACHE_ROWS_DEFAULT: Final = 1000
"""Rows of a kind that the office said nothing about."""

_TIME = re.compile(r"infinity|\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00( BC)?")
"""A time as PostgreSQL writes it, which Python need not be able to hold."""

_COVERED = frozenset(f"marketplace.{name}" for name in ("everyone", "person", "partner", "followed"))
"""Scopes whose rows the sections' queries find. The office holds more, and pulls it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A member of the answer: rows of ``table``, as many as ``kept`` (an entity of the cache's metadata) says.
    ``query`` gives their places (when, id) and keys, by the keys of scopes that the load holds."""

    name: str
    table: str
    kept: str | None
    query: str


SECTIONS: Final = (
    Section("cache", "offline_cache_metadata", None, "first_cache"),
    Section("profiles", "profiles", "profile", "first_profiles"),
    Section("savedJobs", "jobs", "saved_job", "first_saved_jobs"),
    Section("savings", "saved_jobs", "saved_job", "first_saved"),
    Section("proposals", "proposals", "proposal", "first_proposals"),
    Section("jobs", "jobs", "job", "first_jobs"),
    Section("recentMessages", "messages", "message", "first_messages"),
)


class Place(msgspec.Struct, array_like=True, frozen=True):
    """Where a load goes on: its name, the section, the place of the last row sent there, how many were sent there and
    at all, and the sections that were cut. A client that makes one up only cheats its own phone of rows."""

    load: str
    section: int
    at: str | None
    row: str | None
    sent: int
    given: int
    cut: tuple[int, ...]


class Preferences(preferences.Preferences, frozen=True, kw_only=True):
    """Spec 4's switches, and what the app keeps of its own (``mobile``)."""

    mobile: dict[str, Any]


class InitialData(msgspec.Struct, frozen=True):
    """What a phone shows before its first pull. ``next``: the cursor of what follows, null when that was all that is
    kept at hand; ``next_token``: from there an ordinary pull brings everything else."""

    userPreferences: Preferences  # noqa: N815
    cache: list[dict[str, Any]]
    profiles: list[dict[str, Any]]
    savedJobs: list[dict[str, Any]]  # noqa: N815
    savings: list[dict[str, Any]]
    proposals: list[dict[str, Any]]
    jobs: list[dict[str, Any]]
    recentMessages: list[dict[str, Any]]  # noqa: N815
    next: str | None
    next_token: str
    server_time: str


class Estimate(msgspec.Struct, frozen=True):
    """How much the initial data is: rows of each section, and about how many bytes before compression."""

    rows: dict[str, int]
    rows_total: int
    bytes: int


@dataclass(slots=True)
class Loading:
    """A load on its way. ``etag`` is known at its beginning only."""

    engine: Engine
    claims: Claims
    place: Place
    etag: str | None = None


async def start(engine: Engine, claims: Claims, after: str | None) -> Loading:
    """A new load, or where ``after`` says. Raises Problem: invalid_parameter, unauthenticated, device_*."""
    if after is not None:
        place = _read_cursor(after, tokens_max=engine.limits.token_bytes_max)
        await pull.find_token(engine, claims, place.load)  # which reads the keys again where it must
        async with engine.database.snapshot() as conn:
            await first.resume(engine, conn, claims, place.load)
        return Loading(engine, claims, place)
    begun = await first.begin(engine, claims, _tables(engine))
    whole = first.write_token(engine, first.complete(engine, begun, given=0))
    etag = f'W/"{await _digest_of_preferences(engine, claims.user_id)}.{whole}"'
    return Loading(engine, claims, Place(first.begun(engine, begun), 0, None, None, 0, 0, ()), etag)


async def is_current(engine: Engine, claims: Claims, etag: str) -> bool:
    """Whether a phone that has the initial data of this ``etag`` would get nothing new."""
    digest, _, token = etag.removeprefix("W/").strip('"').partition(".")
    if digest != await _digest_of_preferences(engine, claims.user_id):
        return False
    try:
        page = await pull.pull(engine, claims, PullRequest(since_token=token, limit=1))
    except Problem as problem:
        if problem.code.code in ("invalid_token", "resync_required"):
            return False
        raise
    return not page.changes and not page.has_more


async def send(loading: Loading, *, limit: int | None) -> AsyncIterator[bytes]:
    """The answer's JSON in pieces, with ``limit`` rows at most."""
    engine, claims, place = loading.engine, loading.claims, loading.place
    yield b'{"userPreferences":%b' % msgspec.json.encode(await read_preferences(engine, claims.user_id))
    left, step = limit, ROWS_AT_FIRST
    current = True
    kept: dict[str, int] | None = None
    for number, section in enumerate(SECTIONS):
        yield b',"%b":[' % section.name.encode()
        comma = b""
        while current and place.section == number and left != 0:
            wanted = step if left is None else min(left, step)
            async with engine.database.snapshot() as conn:
                begun = await first.resume(engine, conn, claims, place.load)
                current = begun.current
                if not current:
                    break
                kept = kept or await _read_kept(conn)
                rows, place = await _read(conn, begun, _table(engine, section), kept, place, wanted)
            if rows:
                piece = comma + b",".join(rows)
                yield piece
                comma = b","
                step = max(1, min(ROWS_AT_ONCE_MAX, 2 * step, BYTES_AT_ONCE * len(rows) // len(piece)))
            left = None if left is None else left - len(rows)
        yield b"]"
    done = not current or place.section == len(SECTIONS)
    async with engine.database.connection() as conn:
        begun = await first.resume(engine, conn, claims, place.load)
    token = first.hand_over(engine, begun, whole=_whole(engine, begun, place), given=place.given)
    yield b',"next":%b,"next_token":"%b","server_time":"%b"}' % (
        msgspec.json.encode(None if done else _write_cursor(place)),
        token.encode(),
        pull.format_time(engine.clock()).encode(),
    )


async def estimate(loading: Loading) -> Estimate:
    """How much there is, without sending it: sections counted along the same indexes, sizes from a sample."""
    engine, claims = loading.engine, loading.claims
    rows: dict[str, int] = {}
    size = 0.0
    async with engine.database.snapshot() as conn:
        begun = await first.resume(engine, conn, claims, loading.place.load)
        kept = await _read_kept(conn)
        for section in SECTIONS:
            params = _params(begun, limit=_most(section, kept))
            query = sql.SQL("SELECT count(*) FROM ({}) AS counted").format(sql.SQL(load(__package__, section.query)))
            row = await (await conn.execute(query, params)).fetchone()
            rows[section.name] = row[0] if row is not None else 0
            sample = await fetch_all(conn, load(__package__, section.query), {**params, "limit": SAMPLE_ROWS})
            found = await first.read_rows(conn, begun, _table(engine, section), [key for *_, key in sample])
            if found:
                mean = sum(len(payload.encode()) for _, payload in found.values()) / len(found)
                size += rows[section.name] * mean
    return Estimate(rows, sum(rows.values()), round(size))


async def read_preferences(engine: Engine, user: UUID) -> Preferences:
    """Somebody's preferences; the defaults where they never chose."""
    switches = await preferences.read(engine.database, user)
    mobile = await preferences.read_mobile(engine.database, user)
    return Preferences(**msgspec.structs.asdict(switches), mobile=mobile)


async def _read(
    conn: Connection, begun: FirstLoad, table: BoundTable, kept: dict[str, int], place: Place, wanted: int
) -> tuple[list[bytes], Place]:
    """The next rows of the place's section, and the place behind them: of the next section where this one is done."""
    section = SECTIONS[place.section]
    room = _most(section, kept) - place.sent
    take = min(wanted, room)
    params = _params(begun, limit=take + 1, at=place.at, row=place.row)
    try:
        found = await fetch_all(conn, load(__package__, section.query), params)
    except psycopg.DataError as error:  # the one text that PostgreSQL reads itself is the cursor's
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from error
    taken = found[:take]
    rows = await first.read_rows(conn, begun, table, [key for *_, key in taken])
    sent = [_row(*rows[key]) for *_, key in taken if key in rows]
    more = len(found) > take
    if more and take < room:
        at, row = taken[-1][:2]
        return sent, Place(place.load, place.section, at, row, place.sent + take, place.given + len(sent), place.cut)
    cut = (*place.cut, place.section) if more else place.cut
    return sent, Place(place.load, place.section + 1, None, None, 0, place.given + len(sent), cut)


def _row(version: int, payload: str) -> bytes:
    return b'%b,"server_version":%d}' % (payload.encode().rstrip()[:-1], version)


def _params(begun: FirstLoad, *, limit: int, at: str | None = None, row: str | None = None) -> dict[str, Any]:
    keys = begun.scopes.keys
    return {
        "user": begun.token.user,
        "partners": keys.get("marketplace.partner", []),
        "followed": keys.get("marketplace.followed", []),
        "until": str(begun.snapshot),
        "after_at": at,
        "after_id": row,
        "limit": limit,
    }


def _most(section: Section, kept: dict[str, int]) -> int:
    return kept.get(section.kept, CACHE_ROWS_DEFAULT) if section.kept is not None else CACHE_ROWS_DEFAULT


async def _read_kept(conn: Connection) -> dict[str, int]:
    return dict(await fetch_all(conn, load(__package__, "read_cache_rows")))


def _tables(engine: Engine) -> list[BoundTable]:
    return [table for table in engine.bound.tables if table.declared.app == "marketplace"]


def _table(engine: Engine, section: Section) -> BoundTable:
    return next(table for table in _tables(engine) if table.declared.table == section.table)


def _whole(engine: Engine, begun: FirstLoad, place: Place) -> Collection[BoundTable]:
    """The tables of which every row was sent that the load's scopes hold."""
    missing = {section.table for n, section in enumerate(SECTIONS) if n >= place.section or n in place.cut}
    sent = {section.table for section in SECTIONS} - missing
    keys = begun.scopes.keys
    return [
        table
        for table in _tables(engine)
        if table.declared.table in sent
        if {key.scope for key in table.scope_keys if keys.get(key.scope)} <= _COVERED
    ]


async def _digest_of_preferences(engine: Engine, user: UUID) -> str:
    return hashlib.sha256(msgspec.json.encode(await read_preferences(engine, user), order="sorted")).hexdigest()[:16]


def _write_cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read_cursor(after: str, *, tokens_max: int) -> Place:
    try:
        if len(after) > 2 * tokens_max:
            raise ValueError
        raw = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=Place)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from None
    sound = 0 <= place.section < len(SECTIONS) and 0 <= place.sent < 2**31 and 0 <= place.given < 2**31
    timed = place.at is None or _TIME.fullmatch(place.at) is not None
    if not sound or not timed or (place.at is None) != (place.row is None) or "\0" in (place.row or ""):
        raise Problem("invalid_parameter", "after is not a cursor of this list.")
    return place
