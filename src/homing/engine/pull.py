"""Pull: bring a device from what it has to what its user may see now.

A complete token is (S0, D0): the device equals the rows of the scopes D0 as they stood in the snapshot S0. A delta
takes it to (S1, D1): the snapshot and the held scopes of the delta's first page. The feeds (``feeds.py``) bring

1. rows of D1 whose last change is visible in S1: all of those in entered scopes (D1 - D0), in the others what was not
   visible in S0. What changed after S1 comes with the next delta;
2. rows now in left scopes L = (D0 ∪ P) - D1 and in no held one, as removals;
3. departures in D0 ∪ P not visible in S0 (S1 does not bound them) of rows alive in no held scope, as removals.

Each page reads its own snapshot and computes the held scopes again. **When rights change while a delta is paged**, it
starts again from S0, with two corrections that are easy to miss. Scopes whose removal had begun (L) leave D0: their
rows are partly gone from the device, so if they are granted again they must be sent whole. And everything that the
abandoned delta may have delivered (D1, L) is remembered as possible, P: it counts as left if it is not held now, and
its departures are looked at.

``has_more`` is false only if the delta began and ended in one snapshot, or nothing of the device's was changed between
the two: then the device equals the database at that instant. Otherwise the next delta follows at once.

The scopes are guessed before the statement runs (the token's own, nearly always right) and checked by what the same
statement, in the same snapshot, says they are. A wrong guess costs a second round trip, never a wrong page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from homing.engine import status
from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.feeds import Delta
from homing.engine.scopes import NOTHING, ScopeSet
from homing.engine.who import Who, check_caller, read_who
from homing.postgres.sql import Connection, load
from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.messages import PullRequest
from homing.protocol.token import Place, Snapshot, Token

GUESSES_MAX = 5
"""Times a page is tried with newly found scopes before the client is told to come back."""

TOKEN_REFRESH_SECONDS = 86_400
"""A token older than this is replaced even when nothing is new, so that it never grows older than what is collected."""

SEEN_SECONDS = 60
"""How exact a device's last_seen is while it only pulls."""


class Info(msgspec.Struct):
    """The first row of every page: what was true in its snapshot."""

    who: Who | None
    snapshot: str
    epoch: UUID
    floor: str
    reason: str
    digest: str
    scopes: list[str] | None


_info = msgspec.json.Decoder(Info)


@dataclass(frozen=True, slots=True)
class Page:
    """``changes``: JSON objects, as Postgres made them. ``instant``: with nothing more to come, the snapshot in which
    the device equals the database; it may be later than the token's, which stays the same while nothing is new.
    ``begun``: the token of a device that has some of the changes, nobody knows which."""

    next_token: str
    changes: list[bytes]
    has_more: bool
    server_time: datetime
    instant: Snapshot | None = None
    begun: Token | None = None

    def body(self) -> bytes:
        """The answer's JSON."""
        return b'{"next_token":"%s","changes":[%s],"has_more":%s,"server_time":"%s"}' % (
            self.next_token.encode(),
            b",".join(self.changes),
            b"true" if self.has_more else b"false",
            format_time(self.server_time).encode(),
        )


def format_time(moment: datetime) -> str:
    """RFC 3339 with Z and microseconds, as all times travel. ``moment`` is in UTC."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


async def pull(engine: Engine, claims: Claims, request: PullRequest) -> Page:
    """One page of changes since ``request.since_token``.

    Raises Problem: invalid_token, resync_required, unauthenticated, device_*, invalid_envelope, unavailable.
    """
    limit = _limit(engine, request.limit)
    given = await find_token(engine, claims, request.since_token) if request.since_token is not None else None
    tables = table_ids(engine, request.tables)
    if given is not None and request.tables is not None and tables != given.tables:
        raise Problem("invalid_envelope", "tables must stay the same along a chain of tokens")
    token = given or Token(epoch=UUID(int=0), user=claims.user_id, tables=tables)
    async with engine.indexed.connection() as conn:
        page = await _page(engine, conn, claims, token, request.since_token, limit)
    await status.note(engine, claims, "syncing" if page.has_more else "idle")
    return page


def read_token(engine: Engine, claims: Claims, text: str) -> Token:
    """Decode a sync token of this user. Raises Problem("invalid_token")."""
    return tokens.decode(text, engine.token_keys, user=claims.user_id, bytes_max=engine.limits.token_bytes_max)


async def find_token(engine: Engine, claims: Claims, text: str) -> Token:
    """As ``read_token``, also where another node signed it with a key that this one has not read yet."""
    try:
        return read_token(engine, claims, text)
    except Problem as problem:
        if problem.code.code != "invalid_token" or engine.renew_keys is None or not await engine.renew_keys():
            raise
        return read_token(engine, claims, text)


def _limit(engine: Engine, asked: int | None) -> int:
    if asked is None:
        return engine.limits.page_changes_default
    if asked < 1:
        raise Problem("invalid_envelope", "limit must be at least 1")
    return min(asked, engine.limits.page_changes_max)


def table_ids(engine: Engine, names: list[str] | None) -> tuple[int, ...] | None:
    """The ids of the tables a client narrows to; None: all. Raises Problem("invalid_envelope")."""
    if names is None:
        return None
    known = engine.bound.by_resource_type
    if unknown := sorted(set(names) - set(known)):
        raise Problem("invalid_envelope", f"tables names what is no synced table: {', '.join(unknown)}")
    return tuple(sorted({known[name].id for name in names}))


async def _page(engine: Engine, conn: Connection, claims: Claims, token: Token, text: str | None, limit: int) -> Page:
    sets = engine.scope_sets
    before = await sets.get(conn, token.held) if token.held is not None else NOTHING
    possible = await sets.get(conn, token.possible) if token.possible is not None else NOTHING
    # The guess: while a delta is paged its own scopes, else the ones the device has.
    guess = await sets.get(conn, token.entering) if token.entering is not None else before
    now = engine.clock()
    span = token.span
    for _ in range(GUESSES_MAX):
        if token.until is not None and guess.digest != token.entering:
            token, before, possible = await _start_again(engine, conn, token, before, possible)
        delta = Delta(token.since, before, possible, token.until, guess, token.tables, span)
        statement, params = engine.feeds.page(delta, token.place, limit=limit)
        params |= {
            "user": claims.user_id,
            "session": claims.session_id,
            "device": claims.device_name,
            "guess": guess.digest,
        }
        result = (await statement.run(conn, params)).result
        assert result is not None
        info, here = read_info(result)
        check_caller(info.who or await read_who(conn, claims), claims, device_needed=False)
        check_token(token, info, here)
        if info.scopes is None:
            break
        guess = ScopeSet.of(info.scopes)
        if token.since is not None and token.place is None:
            span = here.xmax - token.since.xmin
    else:
        raise Problem("unavailable", "The rights of this user are changing too fast; try again.")
    changes, last = _read(engine, result, limit)
    await _seen(engine, conn, info, claims, now)
    until = token.until or here
    entering = guess
    begun = msgspec.structs.replace(
        token, epoch=info.epoch, until=until.bounded(engine.limits.token_xids_max), entering=entering.digest
    )
    if last is not None:
        digest = await sets.put(conn, entering)
        assert digest == begun.entering
        following = msgspec.structs.replace(
            begun,
            place=last,
            delivered=token.delivered + len(changes),
            span=span,
        )
        return Page(tokens.encode(following, engine.token_keys), changes, True, now, begun=begun)
    if (
        text is not None
        and not changes
        and token.until is None
        and token.possible is None
        and token.held == entering.digest
        and now.timestamp() - token.issued_at < TOKEN_REFRESH_SECONDS
    ):
        return Page(text, [], False, now, here)
    complete = Token(
        epoch=info.epoch,
        user=token.user,
        since=until.bounded(engine.limits.token_xids_max),
        held=await sets.put(conn, entering),
        delivered=token.delivered + len(changes),
        issued_at=int(now.timestamp()),
        tables=token.tables,
        span=max(0, here.xmax - until.xmin),
    )
    text = tokens.encode(complete, engine.token_keys)
    if token.until is None or until == here:
        return Page(text, changes, False, now, here, begun)
    # Something was written since the first page, perhaps nothing of this device's. Whether there is a next delta is
    # asked here, because a device should not have to, and because it would learn that others wrote something.
    after = await _page(engine, conn, claims, complete, text, 1)
    if after.changes or after.has_more:
        # Rows that were changed meanwhile came as they are, not as ``until`` saw them: what the device has lies between
        # the two. Marked as possible, so that live delivery does not go on from ``until`` as if it were exact.
        between = msgspec.structs.replace(complete, possible=complete.held)
        return Page(tokens.encode(between, engine.token_keys), changes, True, now, begun=begun)
    return Page(after.next_token, changes, False, now, after.instant, begun)


async def _start_again(
    engine: Engine, conn: Connection, token: Token, before: ScopeSet, possible: ScopeSet
) -> tuple[Token, ScopeSet, ScopeSet]:
    """Rights changed while the delta was paged: back to S0, with the two corrections of the module's docstring."""
    assert token.entering is not None
    entering = await engine.scope_sets.get(conn, token.entering)
    left = (before | possible) - entering
    before = before - left
    possible = possible | entering | left
    token = msgspec.structs.replace(
        token,
        # A device that had nothing has "the scopes of nobody, complete" in any snapshot; the abandoned delta's own
        # makes what left since then visible to phase 3.
        since=token.since or token.until,
        held=await engine.scope_sets.put(conn, before),
        possible=await engine.scope_sets.put(conn, possible),
        until=None,
        entering=None,
        place=None,
    )
    return token, before, possible


def read_info(result: Any) -> tuple[Info, Snapshot]:
    """The first row of a page: what was true in its snapshot, and the snapshot."""
    info = _info.decode(result.get_value(0, 5))
    return info, Snapshot.parse(info.snapshot)


def check_token(token: Token, info: Info, here: Snapshot) -> None:
    """Whether the token can be compared with ``here``. Raises Problem("resync_required") with the reason."""
    if token.since is None and token.until is None:
        return
    ordered = info.who.resync_at if info.who is not None else None
    # Only a complete token knows when it was issued, to the second; one of the order's own second is refused too, so
    # that none from before it is taken.
    if ordered is not None and token.since is not None and token.issued_at <= ordered:
        raise Problem("resync_required", "The office wants this device to start again.", reason="ordered")
    if token.epoch != info.epoch:
        raise Problem("resync_required", f"The database began a new epoch: {info.reason}.", reason="epoch")
    for snapshot in (token.since, token.until):
        if snapshot is None:
            continue
        if snapshot.xmax > here.xmax:
            raise Problem(
                "resync_required",
                "The token is from the future: the server was set back to an earlier point.",
                reason="future",
            )
        if snapshot.xmin < int(info.floor):
            raise Problem(
                "resync_required", "The token is older than the removals the server still knows of.", reason="too_old"
            )


def _read(engine: Engine, result: Any, limit: int) -> tuple[list[bytes], Place | None]:
    """The changes as bytes, untouched, and the place of the last one if the page is full."""
    count = result.ntuples
    value = result.get_value
    last = None
    if count - 1 == limit:
        feed, key, changed, row_id, table_id = (value(count - 1, column) for column in range(5))
        last = Place(int(feed), (key or b"").decode(), int(changed), row_id.decode(), int(table_id))
    departed = engine.feeds.departed_from
    if count > 1 and int(value(count - 1, 0)) >= departed:
        seen: dict[bytes, None] = {}  # one row may have left several scopes: it is removed once
        for row in range(1, count):
            seen[value(row, 5)] = None
        return list(seen), last
    return [value(row, 5) for row in range(1, count)], last


async def _seen(engine: Engine, conn: Connection, info: Info, claims: Claims, now: datetime) -> None:
    if claims.device_name is None or info.who is None:
        return
    moment = now.timestamp()
    if moment - engine.seen.get(claims.device_name, 0.0) < SEEN_SECONDS:
        return
    if len(engine.seen) > 100_000:
        engine.seen.clear()
    engine.seen[claims.device_name] = moment
    await conn.execute(load(__package__, "touch_device"), {"device": info.who.device_id, "now": now})
