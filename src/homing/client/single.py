"""One sync at a time on a replica, whichever thread or process asks.

The lock is an open write transaction on a little SQLite file of its own, so it is the operating system's: it works on
every platform, needs no clock and no heartbeat, and ends with the process that held it, however that ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(Exception):
    """Another sync of this replica is running."""


def lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


@contextmanager
def flight(path: Path) -> Iterator[None]:
    """Hold the replica's sync lock. Raises BusyError at once if somebody else has it."""
    connection = sqlite3.connect(lock_path(path), timeout=0, isolation_level=None, check_same_thread=False)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise BusyError(f"{path} is being synced already") from error
        yield
    finally:
        connection.close()
