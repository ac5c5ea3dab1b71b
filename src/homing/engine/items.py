"""Items on their way: what push knows of each item of a batch, from raw bytes to verdict.

A ``Work`` is one item. It moves through named stages (read, resolved, decided, written); a ``verdict`` ends it wherever
it is. Nothing here touches the database.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from homing.declare import Refusal
from homing.engine import values as value_codec
from homing.engine.tables import BoundTable
from homing.engine.values import Values
from homing.postgres.codec import sentence
from homing.protocol.limits import Limits
from homing.protocol.messages import Base, Item

_item = msgspec.json.Decoder(Item)
_text = msgspec.json.Decoder(str)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Where clocks that were never set begin. An edit that claims to be older is as old as that."""


@dataclass(slots=True)
class Verdict:
    """How an item ended. ``conflict`` is the key of the conflict made for it, if any (see conflicts.py)."""

    status: Literal["ok", "conflict", "error", "pending"]
    code: str | None = None
    message: str | None = None
    path: str | None = None
    row_id: str | None = None
    version: int | None = None
    merged: bool = False
    conflict_id: UUID | None = None
    server_payload: bytes | None = None
    stored: bool = False
    """The verdict was given before, to the same item: nothing is recorded again."""


@dataclass(slots=True, eq=False)
class Work:
    """One item on its way through push."""

    index: int
    raw: bytes
    item: Item | None = None
    table: BoundTable | None = None
    members: dict[str, msgspec.Raw] = field(default_factory=dict)
    row_id: str | None = None
    given_id: str | None = None
    chosen: bool = False
    """Of a create: its key is the client's own, and may have been another row's."""
    values: Values | None = None
    edited_at: datetime | None = None
    replaced: bool = False
    """A member was replaced (a temp id, a code): the payload is no longer the client's own text."""
    plain: bool = False
    """Nothing looks into the values on their way: they go to the database as they came (see meet.py)."""
    columns: tuple[str, ...] = ()
    """Of a plain create: the columns it gives, sorted."""
    sent: dict[str, Any] = field(default_factory=dict)
    """Of an update: wire values as the device wants them, before merging."""
    verdict: Verdict | None = None

    @property
    def temp_id(self) -> str | None:
        return self.item.client_temp_id if self.item is not None else None

    @property
    def key(self) -> tuple[str, str, int | None] | None:
        """Idempotency key within the device: temp id, action, version."""
        if self.item is None or self.item.client_temp_id is None:
            return None
        return (self.item.client_temp_id, self.item.action, self.item.client_version)

    def refuse(self, code: str, message: str, path: str | None = None) -> None:
        if self.verdict is None:
            self.verdict = Verdict("error", code, message, path, row_id=self.row_id)

    def refused(self, refusal: Refusal) -> None:
        self.refuse(refusal.code, refusal.message, refusal.path)


def read_all(
    raws: Sequence[bytes | msgspec.Raw], tables: Mapping[str, BoundTable], limits: Limits, *, now: datetime
) -> list[Work]:
    """Read the items of a batch. What is wrong with one item is its own verdict."""
    return [_read(index, bytes(raw), tables, limits, now) for index, raw in enumerate(raws)]


def _read(index: int, raw: bytes, tables: Mapping[str, BoundTable], limits: Limits, now: datetime) -> Work:
    work = Work(index, raw)
    try:
        item = _item.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        words, path = sentence(error) if isinstance(error, ValueError) else (str(error), None)
        work.refuse("invalid_value", f"the item: {words}", path)
        return work
    work.item = item
    work.edited_at = now
    if (temp := item.client_temp_id) is not None and not 0 < len(temp.encode()) <= limits.key_bytes_max:
        work.item = msgspec.structs.replace(item, client_temp_id=None)
        work.refuse("invalid_value", f"client_temp_id must be 1 to {limits.key_bytes_max} bytes", "/client_temp_id")
        return work
    if temp is not None and "\x00" in temp:
        work.item = msgspec.structs.replace(item, client_temp_id=None)
        work.refuse("invalid_value", "client_temp_id: NUL cannot be stored", "/client_temp_id")
        return work
    if item.client_version is not None and not 0 <= item.client_version < 2**31:
        work.item = msgspec.structs.replace(item, client_version=None)
        work.refuse("invalid_value", "client_version must be 0 to 2147483647", "/client_version")
        return work
    work.table = tables.get(item.resource_type)
    if work.table is None:
        work.refuse("unknown_table", "resource_type names no synced table", "/resource_type")
        return work
    if item.edited_at is not None:
        edited = _moment(item.edited_at)
        if edited is None:
            work.refuse("invalid_value", "edited_at must be an RFC 3339 time with an offset", "/edited_at")
            return work
        work.edited_at = edited
    if len(item.payload) > limits.text_bytes_max:
        work.refuse("too_large", f"a payload may hold {limits.text_bytes_max} bytes", "/payload")
        return work
    found = value_codec.members(bytes(item.payload))
    if isinstance(found, Refusal):
        work.refused(found)
        return work
    key = work.table.key.name
    given = found.pop(key, None) if key == "id" else found.pop("id", found.pop(key, None))
    work.members = found
    if given is not None and bytes(given) != b"null":
        text = key_text(given)
        if text is None:
            work.refuse("invalid_value", "id must be a text or an integer", "/id")
            return work
        work.given_id = text
    _check_base(work, item)
    return work


def _check_base(work: Work, item: Item) -> None:
    if item.action != "create" and work.given_id is None:
        work.refuse("invalid_value", f"{item.action} needs the id of the row in its payload", "/payload/id")
        return
    base = item.base
    if base is None:
        if item.action == "update" and item.client_version is None:
            work.refuse(
                "invalid_value", "an update needs client_version, the version it was based on", "/client_version"
            )
        return
    named = [base.version is not None, base.token is not None, base.row is not None, base.none, base.absent]
    if sum(named) != 1:
        work.refuse("invalid_value", "base names exactly one of version, token, row, none, absent", "/base")
    elif base.version is not None and not 0 <= base.version < 2**31:
        work.refuse("invalid_value", "base.version must be 0 to 2147483647", "/base/version")
    elif base.absent and item.action == "update":
        work.refuse("invalid_value", "base.absent belongs to a create or a delete", "/base")


def base_version(item: Item) -> int | None:
    """The version an edit was based on, where the base is a version."""
    if item.base is None:
        return item.client_version
    return item.base.version


def is_patch(base: Base | None, action: str, version: int | None) -> bool:
    """Based on nothing: a field patch, or a delete that names no version."""
    if base is not None:
        return base.none
    return action == "delete" and version is None


def key_text(raw: msgspec.Raw | bytes) -> str | None:
    """A row's key, or a reference to one, as text; None where it is neither text nor integer."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)


def _moment(text: str) -> datetime | None:
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def correct_times(works: Sequence[Work], offset: timedelta, now: datetime) -> None:
    """Times of edit by the server's clock: ``offset`` is server minus device. Nothing was edited after now, whatever a
    device says; so no clock can win for ever. And nothing before ``EARLIEST``."""
    for work in works:
        if work.edited_at is not None and work.edited_at is not now:
            try:
                corrected = work.edited_at.astimezone(UTC) + offset
            except OverflowError:  # at one of the two ends of what a time can be
                corrected = now if work.edited_at.year > EARLIEST.year else EARLIEST
            work.edited_at = max(min(corrected, now), EARLIEST)


def references(works: Sequence[Work]) -> set[str]:
    """Every string that may be a temp id: own ones, row ids, and references to rows of synced tables. None with NUL,
    which no temp id has and PostgreSQL does not take."""
    found: set[str] = set()
    for work in works:
        if work.verdict is not None or work.table is None:
            continue
        if work.temp_id is not None:
            found.add(work.temp_id)
        if work.given_id is not None:
            found.add(work.given_id)
        for name in work.table.references:
            raw = work.members.get(name)
            if raw is not None and (text := key_text(raw)) is not None:
                found.add(text)
    return {text for text in found if "\x00" not in text}


def resolve(works: Sequence[Work], known: Mapping[str, str]) -> None:
    """Replace temp ids by real ones: ``known`` from earlier batches, and creates of this batch in order. Gives every
    create its id that has none yet. A reference to a create that failed is ``dependency_failed``."""
    here: dict[str, Work] = {}
    own = {work.temp_id for work in works if work.item is not None and work.item.action == "create"} - {None}
    for work in works:
        item, table = work.item, work.table
        if item is None or table is None:
            continue
        creates = item.action == "create"
        if work.verdict is None:
            _resolve_one(work, table, known, here, own, creates)
        if creates and item.client_temp_id is not None and item.client_temp_id not in known:
            here.setdefault(item.client_temp_id, work)


def _resolve_one(
    work: Work,
    table: BoundTable,
    known: Mapping[str, str],
    here: Mapping[str, Work],
    own: set[str | None],
    creates: bool,
) -> None:
    def real(text: str, where: str) -> str | None:
        """The id that ``text`` stands for, itself where it stands for nothing; None after a refusal."""
        if text in here:
            made = here[text]
            if made.verdict is not None and made.verdict.status != "ok":
                work.refuse("dependency_failed", f"{where} refers to {text!r}, which was not created", where)
                return None
            return made.row_id
        if text in known:
            return known[text]
        if text in own and text != work.temp_id:
            work.refuse("dependency_failed", f"{where} refers to {text!r}, which comes later in the batch", where)
            return None
        return text

    itself: list[str] = []
    for name in table.references:
        raw = work.members.get(name)
        text = key_text(raw) if raw is not None else None
        if text is None:
            continue
        if text == work.temp_id and creates:
            itself.append(name)  # filled in below, when the row has its id
            continue
        found = real(text, f"/{name}")
        if found is None:
            return
        if found == text and name not in table.declared.named and _is_no_key(table, name, text):
            work.refuse("dependency_failed", f"/{name} refers to {text!r}, which was not created", f"/{name}")
            return
        if found != text:
            _refer(work, table, name, found)
    if creates:
        if not is_numbered(work, known):
            work.row_id, work.chosen = work.given_id, True
        elif work.row_id is None:
            work.row_id = new_key()
    elif work.given_id is not None:
        work.row_id = real(work.given_id, "/id")
    if work.row_id is not None and work.verdict is None:
        work.row_id = canonical_key(table, work.row_id)
        if work.row_id is None:
            # A key that cannot exist is a row that does not exist.
            if creates:
                work.refuse("invalid_value", f"id is no valid {table.key_type}", "/id")
            else:
                work.refuse("not_found", "there is no such row")
    for name in itself:
        if work.row_id is not None:
            _refer(work, table, name, work.row_id)


def _is_no_key(table: BoundTable, name: str, text: str) -> bool:
    """Whether a reference can be no key at all, so that it must be a temp id of which nothing is known."""
    column = table.columns.get(name)
    if column is None or "\x00" in text:
        return False
    if column.wire.kind == "uuid":
        return _uuid(text) is None
    return column.wire.kind in ("integer", "bigint") and re.fullmatch(r"[+-]?[\d.]+", text) is None


def is_numbered(work: Work, known: Mapping[str, str]) -> bool:
    """Whether the server gives a create its key: the client gave none, or a temp id."""
    return work.given_id is None or work.given_id == work.temp_id or work.given_id in known


def _refer(work: Work, table: BoundTable, name: str, key: str) -> None:
    """Put a row's key in the place of its temp id, as the column's type is written on the wire."""
    column = table.columns.get(name)
    number = column is not None and column.wire.kind == "integer" and re.fullmatch(r"-?\d+", key)
    work.members[name] = msgspec.Raw(msgspec.json.encode(int(key) if number else key))
    work.replaced = True


def new_key() -> str:
    """A new row key: UUID version 7, so that rows made together lie together in the index."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    noise = os.urandom(10).hex()
    variant = "89ab"[int(noise[3], 16) & 3]
    return f"{stamp[:8]}-{stamp[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"


def _uuid(text: str) -> str | None:
    if _UUID.fullmatch(text):
        return text
    try:
        return str(UUID(text)) if len(text) in (32, 36) else None
    except ValueError:
        return None


def canonical_key(table: BoundTable, text: str) -> str | None:
    """The one spelling of a row's key, None where it cannot be a key of this table."""
    if table.key_type == "uuid":
        return _uuid(text)
    if table.key_type in ("integer", "bigint", "smallint"):
        bits = {"smallint": 15, "integer": 31, "bigint": 63}[table.key_type]
        if re.fullmatch(r"-?(0|[1-9]\d{0,18})", text) and -(2**bits) <= int(text) < 2**bits:
            return text
        return None
    return text if "\x00" not in text and len(text.encode()) <= 2000 else None
