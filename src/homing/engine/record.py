"""Recording: every item of a batch beside its effect, and the answer made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec

from homing.engine.items import Verdict, Work
from homing.engine.meet import Meeting
from homing.postgres.sql import Call, Connection, load, statement
from homing.protocol.messages import Result

_SENT_AGAIN = frozenset({"dependency_failed", "group_aborted", "stale_epoch"})
"""Codes of items that the device sends again, with the item that brought them down or after a resync: nobody has to
repair them."""


class _Kept(msgspec.Struct, kw_only=True):
    """One row of homing.sync_items, as it goes into ``keep_items``. Its id is made here, because a PostgreSQL without
    OpenSSL opens a file for each."""

    id: UUID
    n: int
    temp_id: str | None
    resource_type: str
    action: str
    payload: msgspec.Raw
    client_version: int | None
    server_version: int | None
    status: str
    error: str | None
    row_id: str | None
    code: str | None
    merged: bool
    conflict_id: UUID | None
    base: Any
    details: Any
    edited_at: Any
    again: bool
    quarantined: bool


def keeps(meeting: Meeting, works: Sequence[Work]) -> Call:
    """What keeps every item with its verdict."""
    items = msgspec.json.encode([_kept(work) for work in works]).decode()
    params = {"batch": meeting.batch, "device_id": meeting.device_id, "items": items}
    return statement(__package__, "keep_items").call(params)


async def keep_conflicts(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    """Keep the conflicts of a batch. An edit that waits for a decision already gets the conflict it has."""
    if not meeting.conflicts:
        return
    params = {
        "batch": meeting.batch,
        "device_id": meeting.device_id,
        "user": meeting.claims.user_id,
        "conflicts": msgspec.json.encode(meeting.conflicts).decode(),
    }
    kept = await conn.execute(load(__package__, "keep_conflicts"), params)
    ids: dict[int, UUID] = dict(await kept.fetchall())
    for work in works:
        if work.index in ids and work.verdict is not None and work.verdict.status == "conflict":
            work.verdict.conflict_id = ids[work.index]


def _kept(work: Work) -> _Kept:
    item, verdict = work.item, work.verdict
    assert verdict is not None
    temp_id = item.client_temp_id if item is not None else None
    return _Kept(
        id=uuid4(),
        n=work.index,
        temp_id=temp_id,
        resource_type=_named(work),
        action=item.action if item is not None else "update",
        payload=_payload(work),
        client_version=item.client_version if item is not None else None,
        server_version=verdict.version,
        status=verdict.status,
        error=verdict.message.replace("\x00", "") if verdict.message else None,
        row_id=verdict.row_id,
        code=verdict.code,
        merged=verdict.merged,
        conflict_id=verdict.conflict_id,
        base=None if item is None else item.base,
        details=details_of(verdict),
        edited_at=work.edited_at if item is not None and item.edited_at is not None else None,
        # A verdict given again belongs to the item it was first given to: of one key, one row binds.
        again=verdict.stored,
        quarantined=is_quarantined(verdict),
    )


def _named(work: Work) -> str:
    """The table as answers name it, whichever of its names the device used."""
    if work.table is not None:
        return work.table.resource_type
    return work.item.resource_type[:200].replace("\x00", "") if work.item is not None else ""


def is_quarantined(verdict: Verdict) -> bool:
    """Whether a person has to look: refused, or in the way of something with no conflict that could be decided."""
    lost = verdict.status == "error" or (verdict.status == "conflict" and verdict.conflict_id is None)
    return lost and not verdict.stored and verdict.code not in _SENT_AGAIN


def details_of(verdict: Verdict) -> dict[str, Any] | None:
    """What a verdict says that is kept nowhere else, so that a retry is answered with every word of it."""
    details: dict[str, Any] = {}
    if verdict.path is not None:
        details["path"] = verdict.path
    if verdict.server_payload is not None and verdict.conflict_id is None:
        details["server_payload"] = msgspec.Raw(verdict.server_payload)
    return details or None


def _payload(work: Work) -> msgspec.Raw:
    """The payload as sent. What jsonb cannot hold (NUL, not JSON at all, null) is kept as a JSON text of it."""
    raw = bytes(work.item.payload) if work.item is not None else work.raw
    refused = work.item is None or (work.verdict is not None and work.verdict.status == "error")
    if refused and not is_keepable(raw):
        return msgspec.Raw(msgspec.json.encode({"unreadable": ascii(raw)}))
    return msgspec.Raw(raw)


def is_keepable(raw: bytes) -> bool:
    """Whether a payload can be a jsonb value."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return b"\\u0000" not in raw and raw.strip() != b"null"


def hold(works: Sequence[Work]) -> None:
    """Low trust: nothing is applied until the office has looked."""
    for work in works:
        if work.verdict is None:
            work.verdict = Verdict(
                "pending", "held_for_review", "The office looks at this device's edits before they are applied."
            )


def abort(works: Sequence[Work], culprit: Work) -> None:
    """All or nothing: the others are refused because of ``culprit``."""
    assert culprit.verdict is not None
    for work in works:
        if work is culprit:
            continue
        work.verdict = Verdict(
            "error",
            "group_aborted",
            f"Nothing of the batch was applied: item {culprit.index} was refused ({culprit.verdict.code}).",
        )


def give_again(work: Work, row: Sequence[Any], *, same_body: bool) -> None:
    """The verdict an item with this key got before; with another body it is refused and the first verdict stands."""
    if not same_body:
        work.refuse(
            "reused_with_other_body", "this client_temp_id, client_version and action were used for another payload"
        )
        return
    _temp, _action, _version, status, row_id, version, code, merged, conflict_id, message, _id, server = row
    work.row_id = row_id
    work.verdict = Verdict(
        status,
        code,
        message,
        row_id=row_id,
        version=version,
        merged=merged,
        conflict_id=conflict_id,
        server_payload=_payload_of(server),
        stored=True,
    )


def _payload_of(text: str | None) -> bytes | None:
    """The server's row as a conflict keeps it: JSON null where there was none."""
    return None if text is None or text == "null" else text.encode()


def results_of(works: Sequence[Work]) -> list[Result]:
    """One result an item, in order."""
    return [_result(work.index, work.temp_id, work.verdict) for work in works if work.verdict is not None]


def _result(index: int, temp_id: str | None, verdict: Verdict) -> Result:
    waiting = verdict.status == "pending"
    return Result(
        index=index,
        client_temp_id=temp_id,
        status="error" if waiting else verdict.status,  # type: ignore[arg-type]
        server_id=verdict.row_id if verdict.status != "error" or verdict.version is not None else None,
        server_version=verdict.version,
        merged=verdict.merged,
        conflict_id=str(verdict.conflict_id) if verdict.conflict_id is not None else None,
        server_payload=msgspec.Raw(verdict.server_payload) if verdict.server_payload is not None else None,
        code=verdict.code,
        error=verdict.message,
        path=verdict.path,
    )


async def stored_results(conn: Connection, batch: UUID) -> list[Result]:
    """The results of a batch as they stand: what a retry, and the office, are told."""
    rows = await (await conn.execute(load(__package__, "read_results"), {"batch": batch})).fetchall()
    return [
        _result(
            n,
            temp_id,
            Verdict(
                status,
                code,
                message,
                path,
                row_id=row_id,
                version=version,
                merged=merged,
                conflict_id=conflict_id,
                server_payload=_payload_of(payload),
            ),
        )
        for n, temp_id, status, row_id, version, merged, conflict_id, code, message, payload, path in rows
    ]
