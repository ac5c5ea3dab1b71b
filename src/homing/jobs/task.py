"""What a job is, to those who write one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from homing.postgres.sql import Connection, fetch_all, load

C = TypeVar("C")
"""What jobs work with: a tenant, to the server."""


class HopelessError(Exception):
    """Raised by a job that no further try will help: it is dead at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """One try of one job. ``attempt`` counts from 1."""

    id: int
    args: Mapping[str, Any]
    attempt: int

    async def once(self, conn: Connection) -> bool:
        """Whether the effect that this transaction is about to write is the job's first.

        Call it in the effect's own transaction and write nothing where it says False. However often the job runs,
        because its worker died after the commit or woke up after it was given up, the effect is there once.
        Raises psycopg.errors.ForeignKeyViolation in a worker that was given up, when the job is over: nothing is
        written then either.
        """
        return bool(await fetch_all(conn, load(__package__, "note_effect"), {"job": self.id}))


@dataclass(frozen=True, kw_only=True)
class Task(Generic[C]):
    """A kind of job. ``name`` begins with the application's, as in ``crm.operations``; jobs are enqueued by it.

    ``run`` raises when it failed; it is tried ``tries`` times, with growing pauses, and then lies dead until somebody
    looks at it. ``seconds`` is how long one try may take. ``every``: it is enqueued by itself, so often.
    """

    name: str
    run: Callable[[C, Job], Awaitable[object]]
    tries: int = 8
    seconds: float = 600.0
    every: timedelta | None = None
