"""The hub: keeps everybody who is connected to this node, in one tenant, in step with the database. More lines than
other modules have, because joining, pulling and rounds are one state machine, and its states are only right together.

One task goes round after round (``engine/live.py`` says what a round is and why it is exact): woken by a write that
went through this node, by a hint from another one, or after a second, because hints may be lost and some writers give
none. Hints carry nothing; a lost one costs at most that second. While the task has nothing to do, a small push takes
the next round along behind its COMMIT, and what is due is sent before the push goes on (docs/adr/0069).

A subscriber is in one of three places: *joining* (new, or done pulling: the next round checks who it is and lets it
in), *live* (in the audience: rounds are sent to it), or *pulling* (its scopes changed, or it was away: a task sends it
ordinary pages until it may join). Whatever fails, the way out is the same: pull from the token, which is always one
that the client has.

A hub begins with the first subscriber of its tenant and ends some time after the last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg

from homing.accounts.users import OWNER
from homing.engine import pull
from homing.engine.caller import Claims
from homing.engine.engine import ALONG_INDEXES, Along, Engine
from homing.engine.live import END, LAST, MORE, Reader, Round, decode_change, find_actors, message_core
from homing.engine.live_audience import Audience, Group
from homing.engine.live_callers import Asked, Callers, Standing, ask
from homing.engine.pull import Page, format_time
from homing.engine.who import check_caller
from homing.postgres.sql import BEGIN, COMMIT, Answer, Call, Connection
from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.live import HEARTBEAT_SECONDS, Subscribe
from homing.protocol.messages import PullRequest
from homing.protocol.token import Minter, Snapshot
from homing.server.live_hints import Hints
from homing.server.live_presence import Attendance
from homing.server.live_rounds import Rounds
from homing.server.live_subscriber import Outlet, Subscriber
from homing.server.live_watch import ALL, PRESENCE, Watcher, Watchers

Item = TypeVar("Item")

log = logging.getLogger("homing.live")

POLL_SECONDS = 1.0
"""Longest time between two rounds: how late a change is that nobody gave a hint of. And how often everybody's standing
is looked at: a revoked device is out within two seconds."""
FEW = 32
"""With no more subscribers than this, all of them are asked about together with what changed: one round trip less."""
ALONG_ITEMS = 20
"""A push of no more items than this takes a round along; more rows would keep its answer waiting."""
REST_SECONDS = 0.002
"""And no round began within so long before it: where much is written, rounds are for many writes."""
CHECKED_AT_ONCE = 1000
"""Callers asked about in one statement."""
ADMITTED_AT_ONCE = 500
SCOPES_SECONDS = 0.25
"""How long a poll may look at scopes. Who is left comes first in the next; before something is sent, always."""
PAGE_CHANGES = 500
"""Changes of a page that is pulled for a subscriber: what it has to be sent before others have their turn."""
PULLS_AT_ONCE = 4
"""Pages pulled at the same time, in one tenant. A herd that comes back stands in line here, not at the pool."""
ACTORS_MAX = 100
"""Changes of a page of which it is asked who made them: with more, somebody was away."""
SENT_AT_ONCE = 250
"""Messages written before the loop may do something else."""
APPLICATION_NAME = "homing live"
"""How a hub's connection is called in pg_stat_activity."""
IDLE_SECONDS = 30
"""A hub without subscribers waits for some before it ends."""
AGAIN_SECONDS = 0.5
"""After the database failed, and up to ten times that."""


_AS_OWNER = Call("SELECT set_config('role', 'none', true), set_config('lock_timeout', '100ms', true)")
"""Until the end of the transaction, which outside of one is the end of what is sent together. A push is not to wait for
locks on tables that it has nothing to do with: then the hub waits for them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a round asks: what changed since ``latest``, and which of ``few`` may not go on as before (``asked``)."""

    latest: Round | None
    few: list[Subscriber]
    asked: Asked | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a round means to a group: ``last`` is the end of it up to the token."""

    group: Group[Subscriber]
    cores: list[bytes]
    last: bytes
    minter: Minter
    since: Snapshot
    at: Snapshot


class Live:
    """The live side of one tenant on one node. Made with the tenant; does nothing until somebody subscribes."""

    def __init__(
        self,
        engine: Engine,
        *,
        presence_seconds: float = 15.0,
        poll_seconds: float = POLL_SECONDS,
        leaving: asyncio.Event | None = None,
        few: int = FEW,
        at_once: int = CHECKED_AT_ONCE,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self.node = uuid4()
        self.poll_seconds = poll_seconds
        self._leaving = leaving or asyncio.Event()
        """Set when the node lets go of the tenant."""
        self.hints = Hints(engine.owner, self.node, wake=self._hear)
        self.attendance = Attendance(self.node, grace_seconds=presence_seconds)
        self.watchers = Watchers(self.node)
        self.resting = asyncio.Event()
        """Set while it waits for something to happen."""
        self._names = {table.id: table.declared.full_type for table in engine.bound.tables}
        self._engine = engine
        self._few, self._at_once, self._rest_seconds = few, at_once, rest_seconds
        self._reader = Reader(engine.bound)
        self._callers = Callers(engine.bound)
        self._subscribers: dict[Subscriber, None] = {}
        self._by_owner: dict[str | UUID, dict[Subscriber, None]] = {}
        """Connections of a device (by name) and of a user (by id), oldest first."""
        self._joining: dict[Subscriber, None] = {}
        self._audience: Audience[Subscriber] = Audience()
        self._pulls = asyncio.Semaphore(PULLS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._wanted = False
        """Whether something happened that no round was asked about since."""
        self._made: Question | None = None
        self._asking: tuple[Question, list[Subscriber]] | None = None
        """What was asked when a hint was heard, and who wanted to join then."""
        self._asked_at = 0.0
        self._rounds = Rounds()
        self._turn = 0
        self._closed = False

    # --------------------------------------------------------------------------------- what the rest of the node calls

    def __len__(self) -> int:
        return len(self._subscribers)

    def wake(self) -> None:
        """There may be news."""
        self.watchers.note(())
        self._want()

    def written(self) -> None:
        """Something was committed through this node: for the subscribers here, and those of other nodes."""
        self.wake()
        self.hints.give()

    def along(self, items: int, made: Sequence[str], user: UUID) -> Along:
        """For a push to take along: the hint for other nodes, and the round for the subscribers here. Each where it is
        time for one; otherwise they follow the push."""
        hint = self.hints.take()
        question = self._question_along() if items <= ALONG_ITEMS else None
        calls = [] if hint is None else [hint]
        if question is not None:
            if hint is not None:
                calls = [BEGIN, hint, COMMIT]  # so that it is heard before the round is read
            calls += [_AS_OWNER, self._ask_round(question, made=made, user=user)]

        def done(answers: Sequence[Answer]) -> None:
            whole = len(answers) == len(calls)
            if hint is None or not whole:
                self.hints.give()
            if question is None or not whole or not self._take_at_once(question, answers[-1]):
                self.wake()

        return Along(calls, done)

    def _question_along(self) -> Question | None:
        """The next round's, where the hub waits for something to happen and there are few to ask about."""
        now = monotonic()
        if not self.resting.is_set() or self._rounds.latest is None or now - self._asked_at < self._rest_seconds:
            return None
        question = self._question()
        return question if question.few else None

    def subscribe(self, claims: Claims, until: float, asked: Subscribe, outlet: Outlet) -> Subscriber:
        """Let somebody in, who from now on is sent what is due, until ``unsubscribe`` or a bye.

        Raises Problem: invalid_token, invalid_envelope, too_many_connections, going_away.
        """
        if self._closed:
            raise Problem("going_away")
        if len(self._subscribers) >= self._engine.limits.live_sockets_max:
            raise Problem("too_many_connections", retry_after=10)
        found = Subscriber(claims, until, outlet)
        tables = pull.table_ids(self._engine, asked.tables)
        found.names = asked.tables
        if asked.since_token is not None:
            found.token = pull.read_token(self._engine, claims, asked.since_token)
            found.text = asked.since_token.encode()
            found.at = found.token.since
            if asked.tables is not None and tables != found.token.tables:
                raise Problem("invalid_envelope", "tables must stay the same along a chain of tokens")
        limits = self._engine.limits
        if claims.device_name is not None:
            self._make_room(claims.device_name, limits.live_sockets_a_device_max)
        self._make_room(claims.user_id, limits.live_sockets_a_user_max)
        self._subscribers[found] = None
        self.attendance.connect(claims.session_id)
        for owner in _owners(claims):
            self._by_owner.setdefault(owner, {})[found] = None
        self._join(found)
        self._start()
        return found

    def watch(self, watcher: Watcher, *, mark: str | None) -> None:
        """Let in a page that was made at ``mark``, until ``unwatch`` or a bye, which it may get at once."""
        if self._closed or self._leaving.is_set():
            watcher.close(Problem("going_away"))
        elif self.watchers.enter(watcher, mark=mark):
            self._start()
        else:
            watcher.close(Problem("too_many_connections"))

    def unwatch(self, watcher: Watcher) -> None:
        """The page is gone."""
        self.watchers.leave(watcher)

    def prolong(self, subscriber: Subscriber, claims: Claims, until: float) -> None:
        """A newer access token. Raises Problem("unauthenticated") where it is not the same session's."""
        if claims != subscriber.claims:
            raise Problem("unauthenticated", "This access token is for another session, device or role.")
        subscriber.until = until

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """The connection is gone."""
        if subscriber.gone:
            return
        subscriber.state = "gone"
        del self._subscribers[subscriber]
        self.attendance.disconnect(subscriber.claims.session_id)
        self._joining.pop(subscriber, None)
        self._leave_audience(subscriber)
        for owner in _owners(subscriber.claims):
            found = self._by_owner[owner]
            del found[subscriber]
            if not found:
                del self._by_owner[owner]
        if subscriber.claims.user_id not in self._by_owner:
            self.attendance.leave(subscriber.claims.user_id)

    def drop(self, subscriber: Subscriber, problem: Problem) -> None:
        """End a connection, with its reason."""
        if not subscriber.gone:
            self.unsubscribe(subscriber)
            subscriber.outlet.close(problem)

    async def close(self) -> None:
        """Say goodbye to everybody and end."""
        self._closed = True
        for subscriber in list(self._subscribers):
            self.drop(subscriber, Problem("going_away"))
        self.watchers.drop_all(Problem("going_away"))
        await self.hints.close()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ---------------------------------------------------------------------------------------------------- the rounds

    def _start(self) -> None:
        if self._loop is None and not self._closed:
            self._loop = asyncio.create_task(self._run(), name="live")
            self._loop.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._loop = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("live delivery stopped", exc_info=error)
            for subscriber in list(self._subscribers):
                self.drop(subscriber, Problem("internal"))
            self.watchers.drop_all(Problem("internal"))
        if self._subscribers or self.watchers:  # somebody came while it was ending
            self._start()

    async def _run(self) -> None:
        failures = 0
        while self._subscribers or self.watchers or self.attendance.waits:
            try:
                async with self._engine.owner.dedicated() as conn:
                    for name, value in {**ALONG_INDEXES, "application_name": APPLICATION_NAME}.items():
                        await conn.execute("SELECT set_config(%s, %s, false)", [name, value], prepare=False)
                    await self.hints.listen(conn)
                    failures = 0
                    await self._rounds_on(conn)
            except (Problem, psycopg.Error):
                log.exception("live delivery waits for the database")
                self._everybody_pulls()
                self.watchers.note(ALL)
                failures += 1
                await asyncio.sleep(min(10, failures) * AGAIN_SECONDS)

    async def _rounds_on(self, conn: Connection) -> None:
        """Rounds on one connection until nobody has been there for a while. Raises when the connection fails."""
        loop, polled, beaten = asyncio.get_running_loop(), 0.0, 0.0
        last_seen = monotonic()
        assert self._asking is None
        self._rounds.begin(None)
        self.attendance.begin()
        try:
            while True:
                timer = loop.call_later(max(0.0, polled + self.poll_seconds - monotonic()), self._want)
                if self._wanted:
                    self._wake.set()
                self.resting.set()
                self._prepare()
                with self.hints.hearing(conn):
                    await self._wake.wait()
                self.resting.clear()
                timer.cancel()
                self._wake.clear()
                now = monotonic()
                await self._round(conn)
                if now - polled >= self.poll_seconds:
                    polled = now
                    await self._poll(conn)
                if await self.attendance.settle(conn):
                    self.written()
                self.watchers.tell(now)
                if now - beaten >= HEARTBEAT_SECONDS:
                    beaten = now
                    self._send_heartbeats()
                if self._subscribers or self.watchers:
                    last_seen = now
                elif now - last_seen > IDLE_SECONDS and not self.attendance.waits:
                    await self.attendance.close(conn)
                    return
        finally:
            self.resting.clear()
            if self._closed:
                with suppress(Problem, psycopg.Error):
                    await self.attendance.close(conn)

    async def _round(self, conn: Connection) -> None:
        """Read what changed, ask about those it concerns and those who want to join, and send."""
        if self._asking is None:
            self._start_asking(conn)
        assert self._asking is not None
        question, joining = self._asking
        self._asking = None
        try:
            (answer,) = await conn.run_all([])
            await self._take_in(conn, question, answer, joining)
        except BaseException:
            # Who was sent something has its token, who was not goes on from the older one: both pull from there.
            self._joining |= {each: None for each in joining if each.state == "joining"}
            raise

    def _want(self) -> None:
        self._wanted = True
        self._wake.set()

    def _start_asking(self, conn: Connection) -> None:
        self._wanted = False
        question = self._question()
        conn.send_ahead([self._ask_round(question)], answered=True)
        # Not who comes from here on: they may have written what this round does not see, so it does not tell them that
        # they are up to date.
        self._asking = question, list(self._joining)
        self._joining = {}

    def _hear(self, conn: Connection | None) -> None:
        """Another node has written. Where there is time, ask at once, and not only when the task is awake."""
        if conn is not None and self.resting.is_set():
            self.resting.clear()
            with suppress(psycopg.OperationalError):  # the connection is lost: the round will say so
                self._start_asking(conn)
            self.watchers.note(())
            self._wake.set()
        else:
            self.wake()

    def _question(self) -> Question:
        """The next round's. Made while the hub had nothing to do, if it can be."""
        self._asked_at = monotonic()
        made, self._made = self._made, None
        return made if made is not None and self._is_next(made) else self._make_question()

    def _prepare(self) -> None:
        """Make the next question, if there is time for it."""
        if self.resting.is_set():
            self._made = self._make_question()

    def _make_question(self) -> Question:
        few = self._who_are_few()
        return Question(self._rounds.latest, few, self._ask(few) if few else None)

    def _ask_round(self, question: Question, *, made: Sequence[str] = (), user: UUID | None = None) -> Call:
        before = question.latest.snapshot if question.latest else None
        return self._reader.ask(before, question.asked, made=made, user=user)

    def _who_are_few(self) -> list[Subscriber]:
        return list(self._audience.members()) if self._rounds.latest and len(self._subscribers) <= self._few else []

    def _is_next(self, question: Question) -> bool:
        """Whether nothing happened since it was made that its answer does not know of."""
        return question.latest is self._rounds.latest and question.few == self._who_are_few()

    def _take_at_once(self, question: Question, answer: Answer) -> bool:
        """Send what a push brought before the push goes on; False where that is not the hub's next round, or something
        has to be asked for it."""
        latest = question.latest
        if latest is None or not self.resting.is_set() or not self._is_next(question):
            return False
        try:
            found = self._reader.collect(answer, latest.snapshot, at=self._engine.clock())
            if found.fallen or found.notified or not found.whole or found.epoch != latest.epoch:
                return False
            self._rounds.follow(found)
            self._note(found)
            for each, parcel in self._due(found):
                if each.group is parcel.group:
                    self._send(each, parcel)
            self._tell(found)
            self.watchers.note(())
            self.watchers.tell(monotonic())
        except Exception:
            # The push is committed and must be answered.
            log.exception("live delivery of what a push brought failed")
            self._everybody_pulls()
        asyncio.get_running_loop().call_soon(self._prepare)
        return True

    async def _take_in(self, conn: Connection, question: Question, answer: Answer, joining: list[Subscriber]) -> None:
        latest, few = question.latest, question.few
        found = self._reader.collect(answer, latest.snapshot if latest else None, at=self._engine.clock())
        await self._look_at(conn, [few[n] for n in found.fallen])
        if latest is None or not found.whole or found.epoch != latest.epoch:
            self._rounds.begin(found)
            self._everybody_pulls()
        else:
            self._rounds.follow(found)
        self._note(found)
        await self._send_round(conn, found, certain=bool(few))
        await self._admit(conn, found, joining)
        self._tell(found)
        await self._notify(conn, found)

    def _note(self, found: Round) -> None:
        """For the pages that watch: which tables the round is about."""
        keys = [row.key for row in found.rows] + [each.key for each in found.departures]
        parts = {self._names[table] for table, _ in keys}
        if found.presence:
            parts.add(PRESENCE)
        if not found.whole:
            parts |= ALL
        if parts or found.resolved:
            self.watchers.note(parts)

    async def _send_round(self, conn: Connection, found: Round, *, certain: bool) -> None:
        """``certain``: everybody was asked about at this round's snapshot or after it, and nobody joined since."""
        due = self._due(found)
        if certain:
            await self._send_all(due)
        elif due:
            await self._ask_and_send(conn, _chunks(due, self._at_once))

    def _due(self, found: Round) -> list[tuple[Subscriber, Parcel]]:
        """To whom something of it goes."""
        parcels = [self._parcel(found, group, cores) for group, cores in self._audience.route(found).items()]
        return [(each, parcel) for parcel in parcels for each in parcel.group.members]

    async def _ask_and_send(self, conn: Connection, chunks: Sequence[Sequence[tuple[Subscriber, Parcel]]]) -> None:
        """While one chunk is sent, the database is asked about the next."""

        async def ask(n: int) -> list[Subscriber]:
            some = [each for each, parcel in chunks[n] if each.group is parcel.group]
            return await self._find_fallen(conn, some)

        asked = asyncio.create_task(ask(0))
        try:
            for n, chunk in enumerate(chunks):
                await self._look_at(conn, await asked)
                if n + 1 < len(chunks):
                    asked = asyncio.create_task(ask(n + 1))
                await self._send_all(chunk)
        finally:
            asked.cancel()
            await asyncio.wait([asked])

    async def _send_all(self, due: Sequence[tuple[Subscriber, Parcel]]) -> None:
        for n, (each, parcel) in enumerate(due, 1):
            if each.group is parcel.group:
                self._send(each, parcel)
            if n % SENT_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _ask(self, some: Sequence[Subscriber], *, scopes: bool = True) -> Asked:
        """Which of them may not go on as before."""
        digests = ["NULL" if each.group is None or not scopes else each.group.scopes.digest.hex() for each in some]
        return ask([each.badge for each in some], digests)

    async def _find_fallen(
        self, conn: Connection, some: Sequence[Subscriber], *, scopes: bool = True
    ) -> list[Subscriber]:
        return [some[place] for place in await self._callers.fallen(conn, self._ask(some, scopes=scopes))]

    def _may_go_on(self, subscriber: Subscriber, standing: Standing) -> bool:
        """False: it was dropped, or pulls because its scopes are others now."""
        try:
            check_caller(standing.who, subscriber.claims, device_needed=False)
        except Problem as problem:
            self.drop(subscriber, problem)
            return False
        assert subscriber.group is not None
        if standing.digest != subscriber.group.scopes.digest:
            self._start_pulling(subscriber)
            return False
        return True

    def _parcel(self, found: Round, group: Group[Subscriber], cores: list[bytes]) -> Parcel:
        engine = self._engine
        since = found.snapshot.bounded(engine.limits.token_xids_max)
        minter = Minter(
            engine.token_keys,
            epoch=found.epoch,
            since=since,
            held=group.scopes.digest,
            issued_at=int(found.at.timestamp()),
            tables=group.tables,
        )
        return Parcel(group, cores, cores[-1] + LAST, minter, since, found.snapshot)

    def _send(self, subscriber: Subscriber, parcel: Parcel) -> None:
        """One round's changes to one subscriber."""
        held, since, cores = subscriber.token, parcel.since, parcel.cores
        assert held is not None
        delivered = held.delivered + len(cores)
        text = parcel.minter.mint(subscriber.user, delivered)
        messages = [parcel.last + text + END]
        if len(cores) > 1:
            # The token of somebody who has some of it: should the rest not arrive, all of this is taken to be there.
            begun = msgspec.structs.replace(held, until=since, entering=held.held)
            between = MORE + tokens.encode(begun, self._engine.token_keys).encode() + END
            messages = [core + between for core in cores[:-1]] + messages
        subscriber.token = msgspec.structs.replace(held, since=since, delivered=delivered)
        subscriber.at = parcel.at
        subscriber.text = text
        if not subscriber.outlet.send(messages, text):
            self.drop(subscriber, Problem("too_slow_reader"))

    # ------------------------------------------------------------------------------------------------ coming and going

    def _make_room(self, owner: str | UUID, most: int) -> None:
        found = self._by_owner.get(owner, {})
        while len(found) >= most:
            self.drop(next(iter(found)), Problem("replaced"))
            found = self._by_owner.get(owner, {})

    def _join(self, subscriber: Subscriber) -> None:
        subscriber.state = "joining"
        self._joining[subscriber] = None
        self._want()

    async def _admit(self, conn: Connection, found: Round, joining: list[Subscriber]) -> None:
        """Check who wants to join, and let in who is where the rounds are; the others pull first."""
        for chunk in _chunks(joining, ADMITTED_AT_ONCE):
            some = [each for each in chunk if each.state == "joining"]
            standings = await self._callers.standing(conn, [each.claims for each in some])
            for each, standing in zip(some, standings, strict=True):
                if each.state != "joining":
                    continue
                try:
                    who = check_caller(standing.who, each.claims, device_needed=False)
                except Problem as problem:
                    self.drop(each, problem)
                    continue
                each.watches_presence = who.role == OWNER or standing.user_type == "web"
                self.attendance.enter(each.claims.user_id)
                missed = self._missed(each, standing, found)
                if missed is None:
                    self._start_pulling(each)
                else:
                    await self._let_in(conn, each, missed, found)
            await asyncio.sleep(0)

    def _missed(self, subscriber: Subscriber, standing: Standing, found: Round) -> list[Round] | None:
        """The remembered rounds that lead from the subscriber's token to now; None: there is no such way."""
        token, at = subscriber.token, subscriber.at
        if (
            token is None
            or at is None
            or token.until is not None
            or token.possible is not None
            or token.epoch != found.epoch
            or token.held != standing.digest
            or not found.snapshot.covers(at)  # a token from the future: the pull says so
        ):
            return None
        return self._rounds.after(at)

    async def _let_in(self, conn: Connection, subscriber: Subscriber, missed: list[Round], found: Round) -> None:
        assert subscriber.token is not None
        assert subscriber.token.held is not None
        try:
            scopes = await self._engine.scope_sets.get(conn, subscriber.token.held)
        except Problem as problem:
            self.drop(subscriber, problem)
            return
        if subscriber.state != "joining":
            return
        subscriber.group = self._audience.join(subscriber, scopes, subscriber.token.tables)
        subscriber.state = "live"
        for each in missed:
            cores = self._audience.due(each, subscriber.group)
            if cores and not subscriber.gone:
                self._send(subscriber, self._parcel(each, subscriber.group, cores))
        if not subscriber.gone:
            self._say_current(subscriber, found)

    def _say_current(self, subscriber: Subscriber, found: Round) -> None:
        text = subscriber.text or b""
        message = b'{"type":"current","next_token":"%b","timestamp":"%b"}' % (text, format_time(found.at).encode())
        if not subscriber.outlet.send([message], text):
            self.drop(subscriber, Problem("too_slow_reader"))

    def _leave_audience(self, subscriber: Subscriber) -> None:
        if subscriber.group is not None:
            self._audience.leave(subscriber, subscriber.group)
            subscriber.group = None

    def _everybody_pulls(self) -> None:
        for subscriber in list(self._audience.members()):
            self._start_pulling(subscriber)

    def _start_pulling(self, subscriber: Subscriber) -> None:
        self._leave_audience(subscriber)
        subscriber.state = "pulling"
        task = asyncio.create_task(self._pull(subscriber), name="live pull")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pull(self, subscriber: Subscriber) -> None:
        """Ordinary pages until the subscriber is where the server is; then it joins."""
        try:
            more = True
            while more and not subscriber.gone:
                async with self._pulls:
                    text = subscriber.text
                    request = PullRequest(
                        since_token=None if text is None else text.decode(),
                        limit=PAGE_CHANGES,
                        tables=subscriber.names if text is None else None,
                    )
                    page = await pull.pull(self._engine, subscriber.claims, request)
                more = page.has_more
                cores = await self._cores(page, news=text is not None)
                if not subscriber.gone:
                    self._send_page(subscriber, page, cores)
                if more:
                    await subscriber.outlet.drained()
        except Problem as problem:
            self.drop(subscriber, problem)
            return
        except Exception:
            log.exception("live delivery to %s failed", subscriber.claims.user_id)
            self.drop(subscriber, Problem("internal"))
            return
        if not subscriber.gone:
            self._join(subscriber)

    async def _cores(self, page: Page, *, news: bool) -> list[bytes]:
        """The messages of a page. ``news``: not somebody's first rows, so they say who made the change, as a round's
        do: what changes its user's scopes, such as saving a job, always comes by a page."""
        changes = [decode_change(change) for change in page.changes]
        actors: list[str | None] = [None] * len(changes)
        if news and 0 < len(changes) <= ACTORS_MAX:
            async with self._engine.database.connection() as conn:
                actors = await find_actors(conn, self._engine.bound, changes)
        return [message_core(each, at=page.server_time, actor=who) for each, who in zip(changes, actors, strict=True)]

    def _send_page(self, subscriber: Subscriber, page: Page, cores: list[bytes]) -> None:
        text = page.next_token.encode()
        messages: list[bytes] = []
        if len(cores) > 1:
            assert page.begun is not None
            between = MORE + tokens.encode(page.begun, self._engine.token_keys).encode() + END
            messages = [core + between for core in cores[:-1]]
        messages += [core + (MORE if page.has_more else LAST) + text + END for core in cores[-1:]]
        subscriber.token = pull.read_token(self._engine, subscriber.claims, page.next_token)
        subscriber.text = text
        subscriber.at = page.instant
        if messages and not subscriber.outlet.send(messages, text):
            self.drop(subscriber, Problem("too_slow_reader"))

    # -------------------------------------------------------------------------------------------------------- polling

    async def _poll(self, conn: Connection) -> None:
        """Whose session ended, whose access token expired, whose scopes are others: asked of those who hear nothing."""
        if self._leaving.is_set():
            for subscriber in list(self._subscribers):
                self.drop(subscriber, Problem("going_away"))
            self.watchers.drop_all(Problem("going_away"))
        now = self._engine.clock().timestamp()
        for subscriber in [each for each in self._subscribers if each.until <= now]:
            self.drop(subscriber, Problem("unauthenticated", "The access token is expired."))
        everybody = list(self._subscribers)
        turn = self._turn % len(everybody) if everybody else 0
        began = monotonic()
        for some in _chunks(everybody[turn:] + everybody[:turn], self._at_once):
            scopes = monotonic() - began < SCOPES_SECONDS
            self._turn += len(some) if scopes else 0
            await self._look_at(conn, await self._find_fallen(conn, some, scopes=scopes))
        await self._look_at_watchers(conn, now)

    async def _look_at_watchers(self, conn: Connection, now: float) -> None:
        """Let go of pages whose session ended, or whose user may not go on as who they were."""
        everybody = list(self.watchers)
        for some in _chunks(everybody, self._at_once):
            places = await self._callers.fallen(conn, ask([each.badge for each in some], ["NULL"] * len(some)))
            out = {some[place] for place in places} | {each for each in some if each.until <= now}
            for each in out:
                self.watchers.drop(each, Problem("unauthenticated"))

    async def _look_at(self, conn: Connection, some: Sequence[Subscriber]) -> None:
        """Let go of those who may not go on, and let those pull whose scopes are others."""
        if not some:
            return
        standings = await self._callers.standing(conn, [each.claims for each in some])
        for each, standing in zip(some, standings, strict=True):
            if each.group is not None:
                self._may_go_on(each, standing)
            elif not each.gone:
                try:
                    check_caller(standing.who, each.claims, device_needed=False)
                except Problem as problem:
                    self.drop(each, problem)

    def _send_heartbeats(self) -> None:
        message = b'{"type":"heartbeat","timestamp":"%b"}' % format_time(self._engine.clock()).encode()
        self._send_to(list(self._subscribers), [message])

    def _tell(self, found: Round) -> None:
        """What is no part of anybody's rows: presence, and decisions."""
        if found.presence:
            self._send_to([each for each in self._audience.members() if each.watches_presence], found.presence)
        for resolved in found.resolved:
            concerned = dict(self._by_owner.get(resolved.user, {})) if resolved.user is not None else {}
            concerned |= {each: None for each in self._audience.members() if each.claims.role == OWNER}
            self._send_to([each for each in concerned if each.group is not None], [resolved.message])

    async def _notify(self, conn: Connection, found: Round) -> None:
        """Notifications, to all connections of their user: those that are pulling too, as what somebody is notified of
        often changes their scopes. So it is asked first whether these may still be told anything."""
        told = [
            (each, one.message) for one in found.notified for each in self._by_owner.get(one.user, {}) if not each.gone
        ]
        for some in _chunks(list(dict.fromkeys(each for each, _ in told)), self._at_once):
            await self._look_at(conn, await self._find_fallen(conn, some, scopes=False))
        for each, message in told:
            self._send_to([each], [message])

    def _send_to(self, some: Iterable[Subscriber], messages: Sequence[bytes]) -> None:
        for each in some:
            if not each.gone and not each.outlet.send(messages):
                self.drop(each, Problem("too_slow_reader"))


def _owners(claims: Claims) -> Collection[str | UUID]:
    return (claims.user_id,) if claims.device_name is None else (claims.user_id, claims.device_name)


def _chunks(items: Sequence[Item], size: int) -> Sequence[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
