"""Push: apply a device's batch, exactly once.

One batch is one transaction, in a fixed number of round trips whatever it holds:

1. *open*    confirm the caller and lock the device's row, so that the pushes of one device come one after the other;
             claim the batch by its token; read what its temp ids stand for and which of its items were judged before;
2. *meet*    lock the rows that updates and deletes are about, and read what happened to them since their bases;
3. *decide*  in pure code, item by item in the batch's order, each on the row as the items before it leave it;
4. *write*   each group of edits of one table, one action and one set of columns by one statement;
5. *record*  every item beside its effect, and commit.

Some batches need none of what steps 1 and 2 read: creates of tables without hooks, from a device that pushed through
this node before. Such a batch is decided on what they nearly always find (the caller is still who the token says,
nothing of it was judged before, no key was another row's), and goes as a whole in *one* round trip, with statements
that stop it where that is not so. Then it is rolled back and done as above (ADR 0068).

The verdict and its effect commit together, and the claim comes first: that is all there is to "exactly once". A retry
finds the claim and gets the stored verdicts.

If a statement of step 4 fails, or stops a row, the whole transaction is rolled back and the batch is done again
*carefully*: item by item under savepoints, in the batch's order. One bad item then costs itself only, and the careful
way is also the meaning of the fast one: both give the same rows and verdicts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal
from uuid import UUID, uuid4

import msgspec
import psycopg

from homing.engine import careful, fast, record
from homing.engine.again import give_twins, part_twins, recall
from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.former import Asked, Former, ask, early_keys
from homing.engine.items import Work, correct_times, read_all, references
from homing.engine.meet import Meeting, meet
from homing.engine.pull import format_time, read_token
from homing.engine.record import results_of, stored_results
from homing.engine.tables import BoundTable
from homing.engine.who import check_caller, read_who
from homing.engine.write import Group
from homing.postgres.sql import BEGIN, COMMIT, ROLLBACK, Call, Connection, array, load, quoted, statement
from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.messages import Item, PushAnswer, PushRequest
from homing.protocol.token import Token

ATTEMPTS_MAX = 4
"""Times a batch is begun again after a deadlock or a failed group before the client is told to come back."""

DEVICES_MAX = 100_000
"""Devices that a node remembers the ids of."""

OFFSET_MAX = timedelta(days=36525)
"""A device's clock may be off by this: one whose battery was empty says 1970. Beyond it the measurement itself is
nonsense and is not used."""


Way = Literal["at once", "fast", "careful"]
"""How a batch is tried: at once where nothing has to be read for it, else as the fast way is."""


class UnexpectedError(Exception):
    """What was taken for granted was not so, or an item was stopped: nothing was done."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The caller confirmed and the device locked. ``offset``: server clock minus device clock."""

    device_id: UUID | None
    trust: float
    offset: timedelta


@dataclass(frozen=True, slots=True)
class Found:
    """What step 1 found. ``judged``: what items of the batch's temp ids got before (again.py)."""

    opened: Opened
    judged: Sequence[tuple[object, ...]]
    former: dict[int, Former]


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
    way: Way = "at once" if in_session else "fast"
    for _ in range(ATTEMPTS_MAX):
        try:
            async with engine.indexed.connection() as conn:
                return await _attempt(engine, conn, claims, request, batch, way, in_session=in_session)
        except UnexpectedError:
            way = "fast"
        except fast.NeedsCareError:
            way = "careful"
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
            server_token = _since_nothing(claims.user_id, next(iter(engine.token_keys.items())))
        return cls(
            id=uuid4(),
            token=request.batch_token or f"homing-{uuid4()}",
            body_hash=_body_hash(request),
            now=now,
            measured=measured(request.client_time, now),
            base_token=base_token,
            server_sync_token=server_token,
        )


@lru_cache(10_000)
def _since_nothing(user: UUID, key: tuple[str, bytes]) -> str:
    """A valid token from which a pull brings everything, signed with ``key``."""
    return tokens.encode(Token(epoch=UUID(int=0), user=user), dict([key]))


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
    way: Way,
    *,
    in_session: bool,
) -> PushAnswer:
    """One try at the whole batch. Leaving the block without COMMIT rolls everything back."""
    works = read_all(request.items, engine.bound.by_resource_type, engine.limits, now=batch.now)
    expected = _expected(engine, claims, request, works, batch) if way == "at once" else None
    # Whether carefully made creates are of former rows is asked when their rows are locked.
    keys = [] if way == "careful" else early_keys(works)
    opening = _opening(engine, claims, batch, request, works, expected, keys, in_session=in_session)
    if expected is None:
        asked = [ask(engine, table, brought, user=claims.user_id) for table, brought in keys]
        found = await _open(engine, conn, claims, batch, request, works, opening, asked)
        if isinstance(found, PushAnswer):
            return found
    else:
        conn.send_ahead(opening)
        found = Found(expected, [], {table.id: Former(brought, frozenset()) for table, brought in keys})
    opened, carefully = found.opened, way == "careful"
    if engine.room is not None:
        await engine.room(conn, _growth(works))
    correct_times(works, opened.offset, batch.now)
    held = opened.trust < engine.trust_threshold
    meeting = Meeting(engine, claims, batch.id, opened.device_id, batch.now, batch.base_token, atomic=request.atomic)
    meeting.former = found.former
    known = await recall(conn, works, found.judged)
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
    # Of rows that were never there nothing is in conflict; and it would be kept outside of the transaction.
    assert expected is None or not meeting.conflicts
    await record.keep_conflicts(conn, meeting, works)
    give_twins(twins)
    writes = fast.writes(meeting, groups)
    if expected is not None:
        conn.send_ahead(writes)
        writes = []
    calls = [*writes, record.keeps(meeting, works)]
    if held:
        reason = f"trust {opened.trust:.2f} is below {engine.trust_threshold:.2f}"
        calls.append(statement(__package__, "hold_batch").call({"batch": batch.id, "reason": reason}))
    made = [f"{group.table.id}:{row.row_id}" for group in groups if group.kind == "create" for row in group.rows]
    along = [each.along(len(works), made, claims.user_id) for each in engine.listeners]
    try:
        answers = await fast.run_pinned(conn, [*calls, COMMIT], [call for each in along for call in each.calls])
    except fast.NeedsCareError as error:
        if expected is None:
            raise
        engine.devices.pop(claims.device_name or "", None)
        raise UnexpectedError from error
    _expect(engine, claims, opened, held=held)
    behind = iter(answers)
    for each in along:
        each.done(list(islice(behind, len(each.calls))))
    if any(each.calls for each in along):
        await asyncio.sleep(0)  # the loop writes at the end of its turn: what was sent goes before our answer is made
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
    opening: Sequence[Call],
    asked: Sequence[Asked],
) -> Found | PushAnswer:
    """Step 1, one round trip; or the answer, where there is nothing more to do."""
    _, caller, claimed, *answers = await conn.run_all([*opening, *(each.call for each in asked)])
    if caller.row is None:
        await conn.run_all([ROLLBACK])
        await _explain_refusal(conn, claims)
        raise Problem("unauthenticated")
    if not works:
        await conn.run_all([ROLLBACK])
        return PushAnswer(
            batch_id=str(batch.id),
            batch_token=batch.token,
            processed_at=format_time(batch.now),
            server_sync_token=batch.server_sync_token,
            results=[],
        )
    rows = claimed.rows
    if rows[0][0] is None:
        await conn.run_all([ROLLBACK])
        return await _repeat(engine, conn, claims, batch, request)
    device_id, trust, offset, *_ = caller.row
    return Found(
        Opened(device_id, trust, timedelta(seconds=offset or 0)),
        [row[1:] for row in rows if row[1] is not None],
        {each.table.id: each.read(answer) for each, answer in zip(asked, answers, strict=True)},
    )


def _opening(
    engine: Engine,
    claims: Claims,
    batch: Batch,
    request: PushRequest,
    works: Sequence[Work],
    expected: Opened | None,
    keys: Sequence[tuple[BoundTable, AbstractSet[str]]],
    *,
    in_session: bool,
) -> list[Call]:
    """The statements of step 1: the caller, whether the claim is ours, and what is known of the batch's temp ids. Where
    something is ``expected``, they stop the transaction unless it is so, and none of ``keys`` a former row's."""
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
        "status": "syncing" if (request.pending or 0) > len(works) else "idle",
        "pending": request.pending,
        "temp_ids": array(map(quoted, references(works) if claims.device_name is not None else [])),
    }
    claiming = "claim_batch"
    if expected is not None:
        claiming = "claim_expected"
        brought = [(table.id, key) for table, some in keys for key in some]
        claim |= {
            "expected": expected.device_id,
            "trust_min": engine.trust_threshold,
            "tables": array(str(table) for table, _ in brought),
            "keys": array(quoted(key) for _, key in brought),
        }
    opening = "open_device" if claims.device_name is not None else "open_web" if in_session else "open_earlier"
    return [BEGIN, statement(__package__, opening).call(who), statement(__package__, claiming).call(claim)]


def _expected(
    engine: Engine, claims: Claims, request: PushRequest, works: Sequence[Work], batch: Batch
) -> Opened | None:
    """What step 1 is going to find, where a batch can be decided without reading anything; None where it cannot."""
    device = engine.devices.get(claims.device_name or "")
    if device is None or engine.room is not None or request.atomic or not works:
        return None
    for work in works:
        if work.verdict is not None or work.table is None or work.item is None or work.item.action != "create":
            return None
        declared = work.table.declared
        if declared.prepare or declared.effects or declared.named or work.table.numbers_itself:
            return None
        if work.edited_at is not batch.now and batch.measured is None:
            return None  # by the device's clock, and how far that is off is in the database
    return Opened(device, engine.trust_threshold, batch.measured or timedelta(0))


def _expect(engine: Engine, claims: Claims, opened: Opened, *, held: bool) -> None:
    """Remember the device for its next push."""
    if claims.device_name is None or opened.device_id is None or held:
        return
    if len(engine.devices) >= DEVICES_MAX:
        engine.devices.clear()
    engine.devices[claims.device_name] = opened.device_id


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
    await fast.run_pinned(conn, fast.writes(meeting, groups))
    await fast.run_effects(conn, meeting, works)
    return []
