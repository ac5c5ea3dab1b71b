"""Push: apply a device's batch, exactly once.

One batch is one transaction, in a fixed number of round trips whatever it holds:

1. *open*    confirm the caller and lock the device's row, so that the pushes of one device come one after the other;
             claim the batch by its token; read what its temp ids stand for and which of its items were judged before;
2. *meet*    lock the rows that updates and deletes are about, and read what happened to them since their bases;
3. *decide*  in pure code, item by item in the batch's order, each on the row as the items before it leave it;
4. *write*   each group of edits of one table, one action and one set of columns by one statement;
5. *record*  every item beside its effect, and commit.

The verdict and its effect commit together, and the claim comes first: that is all there is to "exactly once". A retry
finds the claim and gets the stored verdicts.

If a statement of step 4 fails, or stops a row, the whole transaction is rolled back and the batch is done again
*carefully*: item by item under savepoints, in the batch's order. One bad item then costs itself only, and the careful
way is also the meaning of the fast one: both give the same rows and verdicts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import psycopg

from homing.engine import careful, fast, record, status
from homing.engine.again import give_twins, part_twins, recall
from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.former import Former, ask_early
from homing.engine.items import Work, correct_times, read_all, references
from homing.engine.meet import Meeting, meet
from homing.engine.pull import format_time, read_token
from homing.engine.record import results_of, stored_results
from homing.engine.who import check_caller, read_who
from homing.engine.write import Group
from homing.postgres.sql import Connection, load
from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.messages import Item, PushAnswer, PushRequest
from homing.protocol.token import Token

ATTEMPTS_MAX = 4
"""Times a batch is begun again after a deadlock or a failed group before the client is told to come back."""

OFFSET_MAX = timedelta(days=36525)
"""A device's clock may be off by this: one whose battery was empty says 1970. Beyond it the measurement itself is
nonsense and is not used."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The caller confirmed and the device locked. ``offset``: server clock minus device clock."""

    device_id: UUID | None
    trust: float
    offset: timedelta


async def push(engine: Engine, claims: Claims, request: PushRequest, *, in_session: bool = True) -> PushAnswer:
    """Apply a batch; one result an item, in order.

    ``in_session`` False: what a user asked for earlier, without a device, is done by the server now. The user must be
    active and have the role still; no session is looked for.

    Raises Problem: too_many_items, invalid_envelope, device_mismatch, reused_with_other_body, unauthenticated,
    device_*, unavailable, quota_exceeded.
    """
    limits = engine.limits
    if len(request.items) > limits.batch_items_max:
        raise Problem(
            "too_many_items",
            f"A batch may hold {limits.batch_items_max} items; this one has {len(request.items)}.",
            limit=limits.batch_items_max,
        )
    claims = _as_device(claims, request)
    if request.batch_token is not None and (
        not 0 < len(request.batch_token.encode()) <= limits.key_bytes_max or "\x00" in request.batch_token
    ):
        raise Problem("invalid_envelope", f"batch_token must be 1 to {limits.key_bytes_max} bytes, without NUL")
    if request.pending is not None and not 0 <= request.pending < 2**31:
        raise Problem("invalid_envelope", "pending must be a count of items")
    batch = Batch.of(engine, claims, request, now=engine.clock())
    unread = request.client_sync_token is not None and batch.base_token is None
    if unread and engine.renew_keys is not None and await engine.renew_keys():
        batch = Batch.of(engine, claims, request, now=engine.clock())
    carefully = False
    for _ in range(ATTEMPTS_MAX):
        try:
            async with engine.indexed.connection() as conn:
                return await _attempt(engine, conn, claims, request, batch, carefully=carefully, in_session=in_session)
        except fast.NeedsCareError:
            carefully = True
        except Problem as problem:
            if isinstance(problem.__cause__, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
                continue
            raise
    raise Problem("unavailable", "The rows of this batch are being changed too often; send it again.")


def _as_device(claims: Claims, request: PushRequest) -> Claims:
    """The access token's device, or for a token without one the device the body names."""
    if request.device_id is None:
        return claims
    if claims.device_name is None:
        return replace(claims, device_name=request.device_id)
    if claims.device_name != request.device_id:
        raise Problem("device_mismatch")
    return claims


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is claimed. ``base_token``: the client's sync token where it is one of ours."""

    id: UUID
    token: str
    body_hash: bytes
    now: datetime
    measured: timedelta | None
    base_token: Token | None
    server_sync_token: str

    @classmethod
    def of(cls, engine: Engine, claims: Claims, request: PushRequest, *, now: datetime) -> Batch:
        base_token = None
        server_token = request.client_sync_token
        if request.client_sync_token is not None:
            try:
                base_token = read_token(engine, claims, request.client_sync_token)
            except Problem:
                server_token = None
        if server_token is None:
            # "Since nothing": a valid token, from which a pull brings everything.
            server_token = tokens.encode(Token(epoch=UUID(int=0), user=claims.user_id), engine.token_keys)
        return cls(
            id=uuid4(),
            token=request.batch_token or f"homing-{uuid4()}",
            body_hash=_body_hash(request),
            now=now,
            measured=measured(request.client_time, now),
            base_token=base_token,
            server_sync_token=server_token,
        )


def _body_hash(request: PushRequest) -> bytes:
    """Of the items' text. A retry repeats it byte for byte; where it does not, the stored items are compared."""
    hashed = hashlib.sha256(b"\x1e".join(map(bytes, request.items)))
    hashed.update(b"\x01" if request.atomic else b"\x00")
    return hashed.digest()


def measured(client_time: str | None, now: datetime) -> timedelta | None:
    """Server clock minus device clock, as a batch's ``client_time`` tells it; None where it tells nothing."""
    if client_time is None:
        return None
    try:
        offset = now - datetime.fromisoformat(client_time)
    except (ValueError, TypeError, OverflowError):
        return None
    return offset if abs(offset) <= OFFSET_MAX else None


async def _attempt(
    engine: Engine,
    conn: Connection,
    claims: Claims,
    request: PushRequest,
    batch: Batch,
    *,
    carefully: bool,
    in_session: bool,
) -> PushAnswer:
    """One try at the whole batch. Leaving the block without COMMIT rolls everything back."""
    works = read_all(request.items, engine.bound.by_resource_type, engine.limits, now=batch.now)
    opened, claimed, judged, former = await _open(
        engine, conn, claims, batch, request, works, carefully=carefully, in_session=in_session
    )
    if opened is None:
        await conn.execute("ROLLBACK")
        await _explain_refusal(conn, claims)
        raise Problem("unauthenticated")
    if not works:
        await conn.execute("ROLLBACK")
        return PushAnswer(
            batch_id=str(batch.id),
            batch_token=batch.token,
            processed_at=format_time(batch.now),
            server_sync_token=batch.server_sync_token,
            results=[],
        )
    if not claimed:
        await conn.execute("ROLLBACK")
        return await _repeat(engine, conn, claims, batch, request)
    if engine.room is not None:
        await engine.room(conn, _growth(works))
    correct_times(works, opened.offset, batch.now)
    held = opened.trust < engine.trust_threshold
    meeting = Meeting(engine, claims, batch.id, opened.device_id, batch.now, batch.base_token, atomic=request.atomic)
    meeting.former = former
    known = await recall(conn, works, judged)
    groups: list[Group] = []
    fresh, twins = part_twins(works)
    if held:
        record.hold(fresh)
    else:
        await meet(conn, meeting, fresh, known, careful=carefully)
        groups = await _judge(conn, meeting, fresh, carefully=carefully)
        if request.atomic and (culprit := _culprit(fresh)) is not None:
            await meeting.undo(conn)
            record.abort(works, culprit)
            groups = []
    await record.keep_conflicts(conn, meeting, works)
    give_twins(twins)
    async with fast.pinned(conn):
        await fast.write_all(conn, meeting, groups)
        await record.keep_items(conn, meeting, works)
        if opened.device_id is not None:
            state: status.State = "syncing" if (request.pending or 0) > len(works) else "idle"
            await status.keep(conn, claims, state, now=batch.now, pending=request.pending)
        if held:
            reason = f"trust {opened.trust:.2f} is below {engine.trust_threshold:.2f}"
            await conn.execute(load(__package__, "hold_batch"), {"batch": batch.id, "reason": reason})
        await conn.execute("COMMIT")
    for tell in engine.on_commit:
        tell()
    return PushAnswer(
        batch_id=str(batch.id),
        batch_token=batch.token,
        processed_at=format_time(batch.now),
        server_sync_token=batch.server_sync_token,
        results=results_of(works),
    )


async def _open(
    engine: Engine,
    conn: Connection,
    claims: Claims,
    batch: Batch,
    request: PushRequest,
    works: Sequence[Work],
    *,
    carefully: bool,
    in_session: bool,
) -> tuple[Opened | None, bool, list[tuple[object, ...]], dict[int, Former]]:
    """Step 1, one round trip: the caller, whether the claim is ours, what is known of the batch's temp ids, and of the
    keys its creates bring."""
    who = {
        "user": claims.user_id,
        "role": claims.role,
        "session": claims.session_id,
        "device": claims.device_name,
        "batch": batch.id,
        "now": batch.now,
        "offset": batch.measured,
    }
    claim = {
        "batch": batch.id,
        "batch_token": batch.token,
        "device": claims.device_name,
        "user": claims.user_id,
        "client_sync_token": request.client_sync_token,
        "server_sync_token": batch.server_sync_token,
        "count": len(works),
        "body_hash": batch.body_hash,
        "atomic": request.atomic,
        "now": batch.now,
    }
    claim["temp_ids"] = sorted(references(works)) if claims.device_name is not None else []
    opening = "open_device" if claims.device_name is not None else "open_web" if in_session else "open_earlier"
    async with conn.pipeline():
        await conn.execute("BEGIN")
        caller = await conn.execute(load(__package__, opening), who)
        claimed = await conn.execute(load(__package__, "claim_batch"), claim)
        # Whether carefully made creates are of former rows is asked when their rows are locked.
        asked = [] if carefully else await ask_early(engine, conn, works, user=claims.user_id)
    row = await caller.fetchone()
    opened = None if row is None else Opened(row[0], row[1], timedelta(seconds=row[2] or 0))
    rows = await claimed.fetchall()
    former = {each.table.id: await each.answer() for each in asked}
    return opened, rows[0][0] is not None, [row[1:] for row in rows if row[1] is not None], former


async def _explain_refusal(conn: Connection, claims: Claims) -> None:
    """Why the caller was not confirmed; raises the Problem that says so."""
    check_caller(await read_who(conn, claims), claims, device_needed=False)


async def _repeat(engine: Engine, conn: Connection, claims: Claims, batch: Batch, request: PushRequest) -> PushAnswer:
    """The batch was sent before: the stored answer, if the body is the same."""
    row = await (await conn.execute(load(__package__, "read_batch"), {"batch_token": batch.token})).fetchone()
    if row is None:
        raise Problem("unavailable", "Another request with this batch_token is being worked on; ask again.")
    batch_id, device, user, body_hash, processed_at, server_token, token = row
    ours = user == claims.user_id and device == claims.device_name
    if not ours or (body_hash != batch.body_hash and not await _says_the_same(engine, conn, batch_id, request)):
        raise Problem("reused_with_other_body", "This batch_token was used before, for another batch.")
    return PushAnswer(
        batch_id=str(batch_id),
        batch_token=token,
        processed_at=format_time(processed_at.astimezone(UTC)),
        server_sync_token=server_token,
        results=await stored_results(conn, batch_id),
    )


async def _says_the_same(engine: Engine, conn: Connection, batch: UUID, request: PushRequest) -> bool:
    """Whether a batch written otherwise (order of keys, blanks) asks for the same as the stored one."""
    given = []
    for n, raw in enumerate(request.items):
        try:
            item = msgspec.json.decode(raw, type=Item)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        given.append(
            {
                "n": n,
                "resource_type": engine.bound.wire_type(item.resource_type),
                "action": item.action,
                "payload": item.payload,
                "client_version": item.client_version,
                "client_temp_id": item.client_temp_id,
                "base": item.base,
            }
        )
    items = msgspec.json.encode(given).decode()
    params = {"batch": batch, "atomic": request.atomic, "count": len(given), "items": items}
    try:
        row = await (await conn.execute(load(__package__, "same_batch"), params)).fetchone()
    except psycopg.DataError:
        return False
    return row is not None and bool(row[0])


def _growth(works: Sequence[Work]) -> int:
    """How many rows more the batch asks to create than to delete."""
    actions = [None if work.item is None else work.item.action for work in works]
    return actions.count("create") - actions.count("delete")


def _culprit(works: Sequence[Work]) -> Work | None:
    """The batch asked to be applied whole: the first item that was not."""
    return next((w for w in works if w.verdict is not None and w.verdict.status != "ok"), None)


async def _judge(conn: Connection, meeting: Meeting, works: Sequence[Work], *, carefully: bool) -> list[Group]:
    """Steps 3 and 4 but for the groups returned, which may be written in the same round trip as the rest."""
    if carefully:
        await careful.apply(conn, meeting, works)
        return []
    groups = fast.plan(meeting, works)
    if not any(table.declared.effects for table in meeting.tables):
        return groups
    async with fast.pinned(conn):
        await fast.write_all(conn, meeting, groups)
    await fast.run_effects(conn, meeting, works)
    return []
