"""Workers: one database's jobs, taken and tried.

A worker gives a sign of life every ten seconds. Whoever works on the same database takes over the jobs of one that did
not for ``LEASE_SECONDS``, and the try that was cut off counts: a job that kills its worker dies too, in the end.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Generic, Literal

import msgspec
import procrastinate
import procrastinate.worker
import psycopg
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import DeleteJobCondition
from procrastinate.jobs import Job as QueuedJob

from homing.jobs.connector import IN_QUEUE, Connector
from homing.jobs.task import C, HopelessError, Job, Task
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.errors import Problem

log = logging.getLogger("homing.jobs")
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # its lines hold the jobs' arguments; ours do not

AT_ONCE = 2
"""Jobs of one database at the same time in one process: requests come first."""
ROUND_SECONDS = 15.0
"""How often a worker looks for periodic jobs that are due, and for jobs of dead workers."""
POLL_SECONDS = 5.0
"""How late a job may begin that waited for its time; one that need not wait wakes the worker."""
HEARTBEAT_SECONDS = 10.0
LEASE_SECONDS = 30.0
GRACE_SECONDS = 20.0
"""How long running jobs may go on when the worker is told to stop; then they are put back."""
PAUSE_SECONDS = (1.0, 30.0)
"""Before a worker whose database went away begins anew: the first time, and at most."""
WAIT_SECONDS = (5.0, 3600.0)
"""Between two tries: about so long after the first, doubled each time up to the second."""
ERROR_CHARS_MAX = 2000

Outcome = Literal["done", "failed", "dead"]
Note = Callable[[str, Outcome, float], None]
"""Told of each try: task, outcome, seconds."""


class Worker(Generic[C]):
    """Works on the jobs of ``tasks`` in one database; others wait for a worker that knows them.

    ``context`` is what jobs get; ``owner`` an open pool of the tables' owner; ``clock`` says which
    periodic jobs are due.
    """

    def __init__(
        self,
        *,
        owner: Database,
        tasks: Sequence[Task[C]],
        context: C,
        clock: Callable[[], datetime],
        note: Note = lambda *_: None,
        lease: float = LEASE_SECONDS,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._owner = owner
        self._tasks = tasks
        self._context = context
        self._clock = clock
        self._note = note
        self._lease = lease
        self._grace = grace

    async def work(self) -> None:
        """Until cancelled, whatever happens to the database meanwhile."""
        pause = PAUSE_SECONDS[0]
        while True:
            began = monotonic()
            try:
                async with self._queue() as app, _beside(self._rounds()):
                    await self._run(app, wait=True)
            except (Problem, psycopg.Error, ProcrastinateException, OSError) as error:
                log.warning("jobs wait for their database: %s", _sentence(error))
            pause = PAUSE_SECONDS[0] if monotonic() - began > PAUSE_SECONDS[1] else min(2 * pause, PAUSE_SECONDS[1])
            await asyncio.sleep(pause)

    async def drain(self) -> None:
        """Whatever is due now, and no more. Raises Problem("unavailable")."""
        await self.look()
        async with self._queue() as app:
            await self._run(app, wait=False)

    async def look(self) -> None:
        """Enqueue the periodic jobs that are due, and take over from dead workers. Raises Problem("unavailable")."""
        periodic = [(task.name, task.every.total_seconds()) for task in self._tasks if task.every is not None]
        lost = {
            "names": self._names,
            "tries": msgspec.json.encode({task.name: task.tries for task in self._tasks}).decode(),
            "lease": self._lease,
        }
        async with self._owner.transaction() as conn:
            params = {
                "names": [name for name, _ in periodic],
                "seconds": [seconds for _, seconds in periodic],
                "now": self._clock(),
            }
            await execute(conn, load(__package__, "defer_periodic"), params)
        async with self._owner.transaction() as conn:
            # The queue's triggers name no schema.
            await conn.execute("SELECT set_config('search_path', 'procrastinate', true)")
            for job_id, dead in await fetch_all(conn, load(__package__, "retake_jobs"), lost):
                log.warning("job %d lost its worker%s", job_id, " and is dead" if dead else "")

    @property
    def _names(self) -> list[str]:
        return [task.name for task in self._tasks]

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[procrastinate.App]:
        database = Database(self._owner.url, pool_size=AT_ONCE + 1, options=IN_QUEUE)
        await database.open()
        try:
            app = procrastinate.App(connector=Connector(database))
            for task in self._tasks:
                tried = self._tried(task)
                app.task(name=task.name, queue=task.name, retry=_Backoff(task), pass_context=True)(tried)
            yield app
        finally:
            await database.close()

    async def _run(self, app: procrastinate.App, *, wait: bool) -> None:
        worker = _Taker(
            app=app,
            queues=self._names,
            wait=wait,
            concurrency=AT_ONCE,
            listen_notify=wait,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=self._lease,
            shutdown_graceful_timeout=self._grace,
            delete_jobs=DeleteJobCondition.SUCCESSFUL,
            install_signal_handlers=False,
        )
        await worker.run()  # type: ignore[no-untyped-call]

    async def _rounds(self) -> None:
        while True:
            try:
                await self.look()
            except (Problem, psycopg.Error) as error:
                log.warning("no look for periodic and lost jobs: %s", _sentence(error))
            await asyncio.sleep(ROUND_SECONDS)

    def _tried(self, task: Task[C]) -> Callable[..., Any]:
        async def tried(context: procrastinate.JobContext, **args: Any) -> None:
            job = Job(context.job.id or 0, args, context.job.attempts + 1)
            began = monotonic()
            try:
                async with asyncio.timeout(task.seconds):
                    await task.run(self._context, job)
            except Exception as error:
                dead = job.attempt >= task.tries or isinstance(error, HopelessError)
                outcome: Outcome = "dead" if dead else "failed"
                log.warning(
                    "job %d (%s) failed, try %d of %d: %s", job.id, task.name, job.attempt, task.tries, _sentence(error)
                )
                self._note(task.name, outcome, monotonic() - began)
                await self._note_failure(job, _sentence(error))
                raise
            self._note(task.name, "done", monotonic() - began)

        return tried

    async def _note_failure(self, job: Job, sentence: str) -> None:
        # Where the database is away there is nothing to write to: the lease runs out and the try is counted then.
        with suppress(Problem):
            async with self._owner.connection() as conn:
                params = {"job": job.id, "attempt": job.attempt, "error": sentence}
                await execute(conn, load(__package__, "note_failure"), params)


@dataclass(frozen=True, slots=True)
class Outlook:
    """``seconds`` until there is something to do. ``waiting``: jobs whose time has come, the oldest of them for
    ``oldest_seconds``; ``dead``: jobs that somebody must look at."""

    seconds: float
    waiting: int
    oldest_seconds: float
    dead: int


async def look_ahead(conn: Connection, tasks: Sequence[Task[Any]], *, now: datetime) -> Outlook:
    """What there is to do in this database, without beginning with it."""
    params = {"names": [task.name for task in tasks], "now": now, "lease": LEASE_SECONDS}
    row = await fetch_one(conn, load(__package__, "find_next"), params)
    assert row is not None
    return Outlook(max(0.0, float(row[0] or 0.0)), int(row[1]), float(row[2]), int(row[3]))


class _Taker(procrastinate.worker.Worker):
    """Procrastinate's worker, which watches over its sign of life and its LISTEN only until the first of its side tasks
    ends. The one for periodic tasks of its own kind would end at once, as there are none.

    One that does not wait for more stops as soon as the queue is empty, and would then hurry the jobs that still run;
    only who tells it to stop may."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._told = asyncio.Event()

    def stop(self) -> None:
        self._told.set()
        super().stop()  # type: ignore[no-untyped-call]

    async def _periodic_deferrer(self) -> None:
        await asyncio.Event().wait()

    async def _shutdown(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        told = asyncio.create_task(self._told.wait())
        while self._running_jobs and not told.done():
            await asyncio.wait({told, *self._running_jobs}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        await super()._shutdown(side_tasks)


class _Backoff(procrastinate.BaseRetryStrategy):
    """Each pause about twice the one before, so that what is overloaded gets air; and not all at the same moment."""

    def __init__(self, task: Task[Any]) -> None:
        self._tries = task.tries

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> procrastinate.RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):  # the worker stops
            return procrastinate.RetryDecision(retry_in={"seconds": 0})
        if job.attempts + 1 >= self._tries or isinstance(exception, HopelessError):
            return None
        first, most = WAIT_SECONDS
        seconds = min(first * 2**job.attempts, most) * random.uniform(0.5, 1.5)  # noqa: S311 - nobody guesses at it
        return procrastinate.RetryDecision(retry_in={"seconds": round(seconds)})


@asynccontextmanager
async def _beside(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _sentence(error: BaseException) -> str:
    cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
    return f"{type(error).__name__}: {error}{cause}".replace("\n", " ").replace("\x00", "")[:ERROR_CHARS_MAX]
