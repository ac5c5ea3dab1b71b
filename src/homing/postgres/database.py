"""One database: a bounded pool of connections, transactions that name their actor, and what happens when it is away.

Three promises, kept here and nowhere else:

*Every checkout is clean.* Nothing is ever SET on a session after it was configured: what a transaction says about
itself (actor, device) is local to it. A connection that comes back inside a transaction is rolled back before anybody
else gets it, and giving back is shielded: a request that is cancelled, even twice, neither loses a connection nor
returns a dirty one.

*Every wait is bounded.* For a connection, for a lock, for a statement, for a transaction left open, for a peer that
stopped answering. Each bound has a name below. Who holds a connection must not wait for another one: where tenants have
a limit together, requests would wait for one another until that bound.

*An absent database is one answer.* Whatever the cause, the caller gets ``Problem("unavailable")`` with the cause
chained; the client's action is to send the same request again, which push makes safe.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic
from types import MappingProxyType
from uuid import UUID

import psycopg
from psycopg import conninfo, errors, sql
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from homing.postgres.sql import PREPARED_MAX, ROLLBACK, Connection
from homing.protocol.errors import Problem

# A pipeline that fails half way is reported twice: as the exception, and as a warning that it could not be ended well.
logging.getLogger("psycopg").setLevel(logging.ERROR)

POOL_WAIT_SECONDS = 5.0
"""How long a request waits for a free connection. Longer than any healthy burst, shorter than a phone's patience."""

POOL_WAITING_MAX = 1000
"""Requests that may wait at once. A herd beyond it is told to come back instead of being held in memory."""

LOOK_AGAIN_SECONDS = 0.05
"""How often a request that waits for room looks itself: a connection that was opened for somebody who is gone, or that
could not be opened, gives no sign."""

IDLE_SECONDS = 300.0
"""After this a connection above the first one is closed: an idle tenant costs one server process."""

CONNECT_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "application_name": "homing",
        "connect_timeout": "5",
        # A database that vanished without a word (power, firewall) is noticed within half a minute.
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }
)
"""Connection parameters used where the URL does not set them."""

SESSION: Mapping[str, str] = MappingProxyType(
    {
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "client_min_messages": "warning",
        "search_path": "pg_catalog, public",  # every statement names its schema; this is for operators and types
        "plan_cache_mode": "force_generic_plan",  # one plan a statement: no planning per call, no sudden other plan
        "jit": "off",  # compiling takes longer than any statement of ours runs
        "max_parallel_workers_per_gather": "0",  # many small requests share the cores better than one spread over all
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "60s",
    }
)
"""Settings of every session, made once when it is opened."""

QUOTA_EXCEEDED = "HQ001"
"""The SQLSTATE of homing.keep_quota(), with the quota's name and value (schema/0005_quotas.sql)."""


class ConnectionLimit:
    """How many connections several databases may have together: the tenants of a node.

    Before one of them opens a connection that there is no room for, one that nobody is using closes all of its own, the
    least recently used first; where all are in use, it waits until one is given back.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: dict[Database, None] = {}
        """Those that have connections, or are about to, the least recently used first."""
        self._freed = asyncio.Event()

    async def admit(self, database: Database, deadline: float) -> None:
        """Return when ``database`` may take a connection. Raises PoolTimeout at the deadline (of ``monotonic``)."""
        self._used.pop(database, None)
        self._used[database] = None
        while database.would_grow and self._count(database) >= self._most:
            resting = next((each for each in self._used if each.at_rest), None)
            if resting is not None:
                await resting.rest()
                continue
            if monotonic() >= deadline:
                raise PoolTimeout(f"all {self._most} connections of the tenants are in use")
            self._freed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_AGAIN_SECONDS, deadline - monotonic())):
                    await self._freed.wait()
        self._used[database] = None

    def free(self) -> None:
        """A connection was given back."""
        self._freed.set()

    def leave(self, database: Database) -> None:
        """It is closed."""
        self._used.pop(database, None)
        self.free()

    def _count(self, database: Database) -> int:
        sizes = {each: each.size for each in self._used}
        self._used = {each: None for each, size in sizes.items() if size or each is database}
        return sum(sizes.values())


class Database:
    """A pool of connections to one database. Construct it anywhere; ``open`` it on the event loop that will use it."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        options: Mapping[str, str] | None = None,
        wait_seconds: float | None = None,
        idle_seconds: float = IDLE_SECONDS,
        limit: ConnectionLimit | None = None,
    ) -> None:
        """``options`` are session settings on top of ``SESSION``, for a pool with other habits (the pull's). A
        request waits ``wait_seconds`` for a connection, POOL_WAIT_SECONDS where not given. ``limit``: how many
        this database and others may have together.

        Raises psycopg.ProgrammingError when ``url`` is not a connection string.
        """
        self.url = url
        given = conninfo.conninfo_to_dict(url)
        self._conninfo = conninfo.make_conninfo(url, **{k: v for k, v in CONNECT_DEFAULTS.items() if k not in given})
        self._session = {**SESSION, **(options or {})}
        self._returning: set[asyncio.Task[None]] = set()
        self._size = pool_size
        self._wait_seconds = POOL_WAIT_SECONDS if wait_seconds is None else wait_seconds
        self._idle_seconds = idle_seconds
        self._limit = limit
        self._pool: AsyncConnectionPool[Connection] | None = None

    async def open(self) -> None:
        """Start serving connections. Does not connect yet: a node starts while its database is still away."""
        if self._pool is None:
            self._pool = self._new_pool()
            await self._pool.open()

    def _new_pool(self) -> AsyncConnectionPool[Connection]:
        return AsyncConnectionPool(
            self._conninfo,
            connection_class=Connection,
            kwargs={"autocommit": True, "prepare_threshold": 1},
            configure=self._configure,
            min_size=0,
            max_size=self._size,
            max_waiting=POOL_WAITING_MAX,
            max_idle=self._idle_seconds,
            timeout=self._wait_seconds,
            # The pool doubles its pause up to this; short, so that it is back within seconds of the database.
            reconnect_timeout=self._wait_seconds,
            open=False,
        )

    @property
    def size(self) -> int:
        """Connections that are open, being opened, or will be for those who wait for one."""
        if self._pool is None:
            return 0
        stats = self._pool.get_stats()
        return min(self._size, stats["pool_size"] + stats["requests_waiting"])

    @property
    def would_grow(self) -> bool:
        """Whether the next one who wants a connection makes the pool open another."""
        if self._pool is None:
            return False
        stats = self._pool.get_stats()
        return not stats["pool_available"] and stats["pool_size"] < self._size

    @property
    def at_rest(self) -> bool:
        """Whether there are connections, and nobody has or wants one."""
        if self._pool is None:
            return False
        stats = self._pool.get_stats()
        return 0 < stats["pool_size"] == stats["pool_available"] and not stats["requests_waiting"]

    async def rest(self) -> None:
        """Close the connections of a database that is ``at_rest``. They are opened again when they are wanted."""
        assert self._pool is not None
        closing = asyncio.create_task(self._pool.close())
        self._pool = self._new_pool()
        self._returning.add(closing)
        closing.add_done_callback(self._returned)
        await asyncio.shield(closing)

    async def close(self) -> None:
        """Close every connection. Those still in use are closed when they come back."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        await asyncio.gather(*self._returning)
        await pool.close()
        if self._limit is not None:
            self._limit.leave(self)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A configured connection in autocommit.

        Raises Problem("unavailable") for everything that means the database cannot answer now, wherever inside the
        block it happens, and Problem("quota_exceeded") where the database says so; errors of the statement itself
        (constraints, types, syntax) pass through.
        """
        try:
            pool, conn = await self._take()
            try:
                yield conn
            finally:
                await self._give_back(pool, conn)
        except (
            psycopg.OperationalError,  # lost, refused, timed out, cancelled, shut down, deadlocked, out of room
            errors.ReadOnlySqlTransaction,  # failed over: this server is a standby now
            errors.IdleInTransactionSessionTimeout,
            errors.TransactionTimeout,
        ) as error:
            if error.sqlstate == QUOTA_EXCEEDED:  # an operational error to psycopg, as every code it does not know
                kind, most = error.diag.message_primary, error.diag.message_detail
                raise Problem("quota_exceeded", f"This tenant may have {most} {kind}.", quota=kind) from error
            raise Problem("unavailable") from error

    @asynccontextmanager
    async def transaction(self, actor: str | None = None, device: UUID | None = None) -> AsyncIterator[Connection]:
        """A READ COMMITTED transaction: committed when the block ends, rolled back when it raises or is cancelled.

        ``actor`` (a user's id) and ``device`` are what the triggers write into the history; without an actor it
        says "outside". Raises as ``connection`` does.
        """
        begin: sql.SQL | sql.Composed = sql.SQL("BEGIN")
        if actor is not None or device is not None:
            begin = _BEGIN_AS.format(actor or "", str(device or ""))
        async with self.connection() as conn:
            await conn.execute(begin, prepare=False)
            yield conn
            await _commit(conn)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A REPEATABLE READ, READ ONLY transaction: every statement sees the database at one instant."""
        async with self.connection() as conn:
            await conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)
            yield conn
            await _commit(conn)

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """A connection of its own outside the pool, closed at the end: for LISTEN, which is state of a session."""
        try:
            conn = await Connection.connect(self._conninfo, autocommit=True, prepare_threshold=1)
            async with conn:
                await self._configure(conn)
                yield conn
        except psycopg.OperationalError as error:
            raise Problem("unavailable") from error

    def _open_pool(self) -> AsyncConnectionPool[Connection]:
        if self._pool is None:
            raise RuntimeError("the database is not open: await database.open() first")
        return self._pool

    async def _configure(self, conn: Connection) -> None:
        conn.prepared_max = PREPARED_MAX
        names, values = list(self._session), list(self._session.values())
        await conn.execute(
            "SELECT set_config(s.name, s.value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value)",
            [names, values],
            prepare=False,
        )

    async def _take(self) -> tuple[AsyncConnectionPool[Connection], Connection]:
        """A connection whose peer is still there, as far as one can tell without a round trip; and its pool.

        An idle connection has nothing to read, unless the server closed it: then asking the socket costs microseconds
        and spares the first requests after a restart of PostgreSQL their 503.
        """
        deadline = monotonic() + self._wait_seconds
        for attempt in range(self._size + 1):
            pool = await self._admitted(deadline)
            try:
                conn = await pool.getconn(timeout=deadline - monotonic())
            except PoolClosed:
                if pool is self._pool:
                    raise
                continue  # for others to have room, a moment ago
            if attempt == self._size or not _readable(conn):
                return pool, conn
            await conn.close()
            await pool.putconn(conn)
        raise PoolTimeout("the connections of this database were closed again and again for others to have room")

    async def _admitted(self, deadline: float) -> AsyncConnectionPool[Connection]:
        """The pool, when it may be asked for a connection; it is asked before anything else happens."""
        while True:
            pool = self._open_pool()
            if self._limit is None:
                return pool
            if pool.closed:  # the one before it was closed to make room
                await pool.open()
            await self._limit.admit(self, deadline)
            if pool is self._pool:
                return pool

    async def _give_back(self, pool: AsyncConnectionPool[Connection], conn: Connection) -> None:
        # A task of its own, because a cancelled request may be cancelled again while it cleans up after itself.
        task = asyncio.create_task(_clean_and_put(pool, conn))
        self._returning.add(task)
        task.add_done_callback(self._returned)
        await asyncio.shield(task)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._returning.discard(task)
        if self._limit is not None:
            self._limit.free()


_BEGIN_AS = sql.SQL("BEGIN; SELECT set_config('homing.actor', {}, true), set_config('homing.device', {}, true)")


def _readable(conn: Connection) -> bool:
    poll = select.poll()
    poll.register(conn.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


async def _commit(conn: Connection) -> None:
    """COMMIT, and insist on it: a transaction with a swallowed error answers ROLLBACK and would pass for success."""
    cursor = await conn.execute("COMMIT", prepare=False)
    if cursor.statusmessage != "COMMIT":
        raise RuntimeError("a statement of this transaction failed and its error was swallowed: nothing was committed")


async def _clean_and_put(pool: AsyncConnectionPool[Connection], conn: Connection) -> None:
    status = conn.pgconn.transaction_status
    in_transaction = status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
    if status == TransactionStatus.ACTIVE or conn.pgconn.pipeline_status != PipelineStatus.OFF:
        await conn.close()
    elif in_transaction:
        try:
            await conn.run_all([ROLLBACK])
        except psycopg.Error:
            await conn.close()
    await pool.putconn(conn)
