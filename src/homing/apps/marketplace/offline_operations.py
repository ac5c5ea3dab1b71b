"""Offline operations: what a phone noted while it was away, in spec 4's words, applied by push.

An operation becomes one item of one batch, at its own place, so that results, rights, merging and history are push's.
What is added here is translation only:

* a generic operation names a table (``entity``) and what to do; a named one (``SAVE_JOB``) says both, and may leave out
  what can be found: whose profile, which saving;
* members may be written as the app's language writes them (``jobId``). Columns that the server keeps, which an app
  sends back with the whole row, are left out of updates, and the result says which;
* an edit must be based on something, or the last to arrive would always win. That is ``data.version``, else the batch's
  ``syncToken``, else the row as it was at the operation's ``timestamp``, corrected for the device's clock.

Sent again, a batch is answered from what push remembers, and so is each operation of a device in another batch: its key
is a digest of what it says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import uuid5

import msgspec

from homing.engine import push
from homing.engine.caller import Claims
from homing.engine.record import stored_results
from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection, fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.protocol.messages import Action, PushRequest, Result, Status
from homing.server import pushing
from homing.server.tenant import Tenant

APP: Final = "marketplace"

NAMED: Final[Mapping[str, tuple[str, Action]]] = {
    "CREATE_PROFILE": ("profile", "create"),
    "UPDATE_PROFILE": ("profile", "update"),
    "CREATE_JOB": ("job", "create"),
    "UPDATE_JOB": ("job", "update"),
    "CREATE_PROPOSAL": ("proposal", "create"),
    "UPDATE_PROPOSAL": ("proposal", "update"),
    "WITHDRAW_PROPOSAL": ("proposal", "update"),
    "SAVE_JOB": ("saved_job", "create"),
    "UNSAVE_JOB": ("saved_job", "delete"),
    "SEND_MESSAGE": ("message", "create"),
    "MARK_MESSAGE_READ": ("message", "update"),
}
"""Operations by name: spec 4's three, and what phones do besides."""

SAID: Final[Mapping[str, Mapping[str, bytes]]] = {
    "WITHDRAW_PROPOSAL": {"status": b'"withdrawn"'},
    "MARK_MESSAGE_READ": {"is_read": b"true"},
}
"""What the name alone says."""

_SERVER_KEEPS = frozenset({"created_at", "updated_at", "profile_views", "total_earnings", "total_earnings_cents"})
_VERSIONS = ("version", "server_version", "base_version")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_version = msgspec.json.Decoder(int)


class OfflineOperation(msgspec.Struct, kw_only=True):
    """One operation. ``type`` is create, update or delete, with ``entity``; or a name that says both. ``data``: the
    row's columns. ``timestamp``: when it was done, by the phone's clock. ``id``: the phone's own name for it."""

    type: str
    data: dict[str, msgspec.Raw]
    entity: str | None = None
    timestamp: str | None = None
    id: str | int | None = None


class OfflineOperations(msgspec.Struct, kw_only=True):
    """``POST /mobile/sync/offline-operations``. ``clientTime``: the phone's clock when it sends them. ``syncToken``: of
    its last pull, which the operations were made on."""

    operations: list[msgspec.Raw]
    clientTime: str | None = None  # noqa: N815 - spelled as the specification's members are
    syncToken: str | None = None  # noqa: N815


class OperationResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one operation, as push says it. ``ignored``: members that the server keeps, left out."""

    index: int
    id: str | int | None = None
    type: str | None = None
    entity: str | None = None
    status: Status
    server_id: str | None = None
    server_version: int | None = None
    merged: bool = False
    conflict_id: str | None = None
    server_payload: msgspec.Raw | None = None
    code: str | None = None
    error: str | None = None
    path: str | None = None
    ignored: list[str] = []


class OfflineAnswer(msgspec.Struct, kw_only=True):
    """One result an operation, in order."""

    batch_id: str
    processed_at: str
    results: list[OperationResult]


@dataclass(slots=True)
class Wanted:
    """An operation on its way: read, then with the row it is about and what it is based on. ``absent``: what it takes
    away is not there."""

    asked: OfflineOperation
    table: BoundTable
    action: Action
    key: str
    columns: dict[str, msgspec.Raw]
    ignored: list[str] = field(default_factory=list)
    version: int | None = None
    row_id: str | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Bad:
    """No operation: why, and as much of it as can be told."""

    code: str
    error: str
    path: str | None
    raw: msgspec.Raw
    type: str | None = None
    entity: str | None = None
    id: str | int | None = None


async def apply(tenant: Tenant, claims: Claims, given: OfflineOperations) -> OfflineAnswer:
    """Apply what a phone noted. Raises Problem as ``push.push`` does."""
    limit = tenant.engine.limits.batch_items_max
    if len(given.operations) > limit:
        raise Problem("too_many_items", f"A batch may hold {limit} operations.", limit=limit)
    read = [_read(tenant, claims, raw) for raw in given.operations]
    token = _batch_token(claims, given)
    if (stored := await _find_stored(tenant, claims, token, read)) is not None:
        return stored
    request = PushRequest(
        items=await _translate(tenant, claims, given, read),
        batch_token=token,
        client_time=given.clientTime,
    )
    try:
        answer = await pushing.take(tenant, claims, request)
    except Problem as problem:
        # Sent twice at once, and not translated the same, because the other one was applied between.
        again = await _find_stored(tenant, claims, token, read)
        if problem.code.code != "reused_with_other_body" or again is None:
            raise
        return again
    return OfflineAnswer(
        batch_id=answer.batch_id, processed_at=answer.processed_at, results=_results(read, answer.results)
    )


# ------------------------------------------------------------------------------------------------------------ reading


_operation = msgspec.json.Decoder(OfflineOperation)


def _read(tenant: Tenant, claims: Claims, raw: msgspec.Raw) -> Wanted | Bad:
    try:
        asked = _operation.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Bad("invalid_value", f"the operation: {error}", None, raw)

    def bad(code: str, error: str, path: str) -> Bad:
        return Bad(code, error, path, raw, asked.type, asked.entity, asked.id)

    if "\0" in f"{asked.type}{asked.entity}{asked.timestamp}{asked.id}" or any("\0" in name for name in asked.data):
        return bad("invalid_value", "NUL cannot be stored", "/")
    named = NAMED.get(asked.type)
    action: Action
    if named is not None:
        entity, action = named
        if asked.entity is not None and _find_table(tenant, asked.entity) is not _find_table(tenant, entity):
            return bad("invalid_value", f"{asked.type} is about a {entity}", "/entity")
    elif asked.type in ("create", "update", "delete"):
        entity, action = asked.entity or "", _as_action(asked.type)
    else:
        known = ", ".join(("create", "update", "delete", *NAMED))
        return bad("invalid_value", f"there is no operation {asked.type[:60]!r}; there are: {known}", "/type")
    table = _find_table(tenant, entity)
    if table is None:
        return bad("unknown_table", "entity names no table that syncs", "/entity")
    if asked.timestamp is not None and _moment(asked.timestamp) is None:
        return bad("invalid_value", "timestamp must be an RFC 3339 time with an offset", "/timestamp")
    wanted = Wanted(asked, table, action, _digest(raw), {})
    if (wrong := _read_columns(wanted, claims)) is not None:
        return bad(*wrong)
    return wanted


def _as_action(text: str) -> Action:
    found: Literal["create", "update", "delete"] = "create" if text == "create" else "delete"
    return "update" if text == "update" else found


def _find_table(tenant: Tenant, name: str) -> BoundTable | None:
    """The table that an app calls so: ``proposal``, ``savedJob``, ``saved-jobs``."""
    plain = _snake(name.replace("-", "_")).removeprefix(f"{APP}.")
    known = {table.declared.resource_type: table for table in tenant.engine.bound.tables if table.declared.app == APP}
    known |= {table.declared.table: table for table in known.values()}
    return known.get(plain)


def _read_columns(wanted: Wanted, claims: Claims) -> tuple[str, str, str] | None:
    """Take ``data`` apart: columns by their own names, the base's version, the row's id; what is wrong with it."""
    table, columns = wanted.table, {_column(wanted.table, name): raw for name, raw in wanted.asked.data.items()}
    if len(columns) != len(wanted.asked.data):
        return "invalid_value", "two members of data mean the same column", "/data"
    for name in _VERSIONS:
        raw = columns.pop(name, None)
        if raw is None or wanted.action == "create":
            continue
        try:
            wanted.version = _version.decode(raw)
        except msgspec.DecodeError:
            return "invalid_value", f"{name} must be a number", f"/data/{name}"
        if not 0 <= wanted.version < 2**31:
            return "invalid_value", f"{name} must be 0 to 2147483647", f"/data/{name}"
    key = columns.pop("id", None)
    if key is not None and bytes(key) != b"null":
        try:
            wanted.row_id = msgspec.json.decode(key, type=str)
        except msgspec.DecodeError:
            return "invalid_value", "id must be a text", "/data/id"
        if not 0 < len(wanted.row_id.encode()) <= 200 or "\0" in wanted.row_id:
            return "invalid_value", "id must be 1 to 200 bytes, without NUL", "/data/id"
    for name, value in SAID.get(wanted.asked.type, {}).items():
        columns[name] = msgspec.Raw(value)
    rights = table.rights(claims.role)
    may = rights.update if wanted.action == "update" else rights.create
    for name in list(columns):
        kept = name in _SERVER_KEEPS and (name not in table.columns or may is None or name not in may)
        unwritable = wanted.action == "update" and name in table.columns and may is not None and name not in may
        if kept or unwritable:
            del columns[name]
            wanted.ignored.append(name)
    wanted.columns = columns
    return None


def _column(table: BoundTable, name: str) -> str:
    return name if name in table.columns else _snake(name)


def _snake(name: str) -> str:
    return _CAMEL.sub("_", name).lower() if not name.isupper() else name


def _moment(text: str) -> datetime | None:
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _digest(raw: msgspec.Raw) -> str:
    plain = msgspec.json.encode(msgspec.json.decode(raw), order="deterministic")
    return f"op-{hashlib.sha256(plain).hexdigest()[:40]}"


def _batch_token(claims: Claims, given: OfflineOperations) -> str:
    hashed = hashlib.sha256(f"{claims.user_id} {claims.device_name}".encode())
    for raw in given.operations:
        hashed.update(b"\x1e" + msgspec.json.encode(msgspec.json.decode(raw), order="deterministic"))
    return f"offline-{hashed.hexdigest()}"


# -------------------------------------------------------------------------------------------------------- translating


async def _translate(
    tenant: Tenant, claims: Claims, given: OfflineOperations, read: Sequence[Wanted | Bad]
) -> list[msgspec.Raw]:
    """An item for each operation. What is bad becomes an item that push refuses, so that it is kept with the others."""
    wanted = [each for each in read if isinstance(each, Wanted)]
    async with tenant.database.connection() as conn:
        judged = await _find_judged(conn, claims, [each.key for each in wanted])
        await _find_rows(conn, claims, [each for each in wanted if each.key not in judged])
        bases = await _find_bases(conn, tenant, claims, given, wanted)
    return [
        _encode({"operation": each.raw}) if isinstance(each, Bad) else _item(each, judged.get(each.key), bases, given)
        for each in read
    ]


def _encode(item: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(item))


def _item(
    wanted: Wanted, judged: tuple[Action, msgspec.Raw] | None, bases: Mapping[str, int], given: OfflineOperations
) -> msgspec.Raw:
    payload: Any
    action, temp_id = wanted.action, wanted.key
    if judged is not None:
        action, payload = judged
    else:
        payload = dict(wanted.columns)
        if wanted.row_id is not None:
            payload["id"] = wanted.row_id
            if action == "create" and _UUID.fullmatch(wanted.row_id) is None:
                temp_id = wanted.row_id  # the phone's own name for the new row, by which others refer to it
    item: dict[str, Any] = {
        "resource_type": wanted.table.resource_type,
        "action": action,
        "payload": payload,
        "client_temp_id": temp_id,
    }
    if wanted.asked.timestamp is not None:
        item["edited_at"] = wanted.asked.timestamp
    if action != "create":
        item["base"] = _base(wanted, bases, given)
    return _encode(item)


def _base(wanted: Wanted, bases: Mapping[str, int], given: OfflineOperations) -> dict[str, Any]:
    if wanted.absent:
        return {"absent": True}
    if wanted.version is not None:
        return {"version": wanted.version}
    if given.syncToken is not None:
        return {"token": given.syncToken}
    return {"version": bases[wanted.key]} if wanted.key in bases else {"none": True}


async def _find_judged(conn: Connection, claims: Claims, keys: Sequence[str]) -> dict[str, tuple[Action, msgspec.Raw]]:
    """Operations of this device that were judged before: as what. Translated anew they might be something else."""
    if claims.device_name is None or not keys:
        return {}
    params = {"device": claims.device_name, "user": claims.user_id, "keys": list(keys)}
    rows = await fetch_all(conn, load(__package__, "find_judged_operations"), params)
    return {key: (action, msgspec.Raw(payload.encode())) for key, action, payload in rows}


async def _find_rows(conn: Connection, claims: Claims, wanted: Sequence[Wanted]) -> None:
    """Give named operations the rows they are about: the caller's own profile, the saving of a job."""
    profiles = [each for each in wanted if each.asked.type == "UPDATE_PROFILE" and each.row_id is None]
    if profiles:
        row = await fetch_one(conn, load(__package__, "find_own_profile"), {"user": claims.user_id})
        own = None if row is None else str(row[0])
        made = [e for e in wanted if e.table is profiles[0].table and e.action == "create"]
        for each in profiles:
            if own is None and made:
                own = made[0].row_id or made[0].key
            if own is None:
                each.action, own = "create", each.key  # the first thing a new user says of themselves
            else:
                each.row_id = own
    saving = [
        each
        for each in wanted
        if each.table.declared.table == "saved_jobs" and (each.asked.type == "SAVE_JOB" or each.action == "delete")
    ]
    jobs = {id(each): _text(each.columns.get("job_id")) for each in saving}
    ids = {text for each in saving for text in (jobs[id(each)], each.row_id) if text is not None}
    saved: dict[str, str] = {}
    if named := sorted(text.lower() for text in ids if _UUID.fullmatch(text)):
        found = await fetch_all(conn, load(__package__, "find_savings"), {"user": claims.user_id, "ids": named})
        saved = {str(job): str(key) for job, key in found}
    for each in saving:
        job = jobs[id(each)] or ""
        if each.asked.type == "SAVE_JOB":
            if job in saved:
                each.action, each.row_id = "update", saved[job]
                del each.columns["job_id"]
            else:
                saved[job] = each.row_id or each.key
        else:
            each.columns.clear()
            asked = (each.row_id or "").lower()
            kept = asked if asked in saved.values() else saved.get(job)
            saved = {about: key for about, key in saved.items() if key != kept}
            # What is not saved is as it should be: the item says so, under the name of no row.
            given = each.row_id if each.row_id is not None and not _UUID.fullmatch(each.row_id) else None
            each.absent = kept is None and given is None
            each.row_id = kept or given or str(uuid5(claims.user_id, f"unsaved {job}"))


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        found = None if raw is None else msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None
    if not isinstance(found, str):
        return None
    return found.lower() if _UUID.fullmatch(found) else found


async def _find_bases(
    conn: Connection, tenant: Tenant, claims: Claims, given: OfflineOperations, wanted: Sequence[Wanted]
) -> dict[str, int]:
    """By key, the version that a row had when an operation was done that does not say what it is based on."""
    if given.syncToken is not None:
        return {}
    now = tenant.clock()
    offset = push.measured(given.clientTime, now)
    if offset is None and claims.device_name is not None:
        row = await fetch_one(conn, load(__package__, "read_clock_offset"), {"device": claims.device_name})
        offset = row[0] if row is not None else None
    asked = []
    for each in wanted:
        moment = None if each.asked.timestamp is None else _moment(each.asked.timestamp)
        plain = each.version is None and each.action != "create" and moment is not None
        if plain and moment is not None and each.row_id is not None and _UUID.fullmatch(each.row_id):
            at = _at(moment, offset or timedelta(0), now)
            asked.append({"key": each.key, "table": each.table.id, "row": each.row_id.lower(), "at": at.isoformat()})
    if not asked:
        return {}
    params = {"asked": msgspec.json.encode(asked).decode()}
    return dict(await fetch_all(conn, load(__package__, "find_versions_at"), params))


def _at(moment: datetime, offset: timedelta, now: datetime) -> datetime:
    try:
        return max(min(moment.astimezone(UTC) + offset, now), datetime(1970, 1, 1, tzinfo=UTC))
    except OverflowError:
        return now


# ---------------------------------------------------------------------------------------------------------- answering


async def _find_stored(
    tenant: Tenant, claims: Claims, token: str, read: Sequence[Wanted | Bad]
) -> OfflineAnswer | None:
    """The answer of the same batch, if it was applied before."""
    async with tenant.database.connection() as conn:
        params = {"token": token, "user": claims.user_id}
        row = await fetch_one(conn, load(__package__, "find_offline_batch"), params)
        if row is None:
            return None
        results = await stored_results(conn, row[0])
    at = row[1].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return OfflineAnswer(batch_id=str(row[0]), processed_at=at, results=_results(read, results))


def _results(read: Sequence[Wanted | Bad], results: Sequence[Result]) -> list[OperationResult]:
    return [_result(index, each, result) for index, (each, result) in enumerate(zip(read, results, strict=True))]


def _result(index: int, each: Wanted | Bad, result: Result) -> OperationResult:
    if isinstance(each, Bad):
        return OperationResult(
            index=index, id=each.id, type=each.type, entity=each.entity, status="error", code=each.code,
            error=each.error, path=each.path,
        )  # fmt: skip
    return OperationResult(
        index=index,
        id=each.asked.id,
        type=each.asked.type,
        entity=each.table.declared.resource_type,
        status=result.status,
        server_id=None if result.server_version is None and each.action == "delete" else result.server_id,
        server_version=result.server_version,
        merged=result.merged,
        conflict_id=result.conflict_id,
        server_payload=result.server_payload,
        code=result.code,
        error=result.error,
        path=None if result.path is None else f"/data{result.path}",
        ignored=each.ignored,
    )
