"""The PostgreSQL of a run: the embedded server in a new data directory, durable, stopped and removed at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from homing.postgres.embedded import embedded

# What a run needs beyond the embedded server's own, the same for every contender. Durability is asserted, not set.
SETTINGS: Mapping[str, str] = {
    "max_connections": "1000",  # 200 transactions held open at once, beside the pools; a thousand tenants just opened
    "max_wal_size": "8GB",  # a checkpoint by size would hit whichever contender happened to be running
    "checkpoint_timeout": "1d",  # the run makes its own checkpoints, between legs
    "shared_preload_libraries": "pg_stat_statements",  # counts nothing but in a database that switches it on
    "pg_stat_statements.track": "none",
}
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@dataclass(frozen=True)
class Cluster:
    """``pid`` is the postmaster's: its tree is all of PostgreSQL's work. ``address`` is the URL of database homing."""

    pid: int
    address: str

    def url(self, database: str) -> str:
        return self.address.replace("/homing?", f"/{database}?", 1)

    def create(self, database: str) -> str:
        """A new empty database; returns its URL."""
        self.run("postgres", sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)

    def run(self, database: str, query: Any, parameters: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        """One statement on a connection of its own, committed. Returns its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def checkpoint(self) -> None:
        """Before a round: every leg then pays for the full-page writes of its own tables, and nobody for a flush."""
        self.run("postgres", "CHECKPOINT")

    def settings(self) -> dict[str, str]:
        names = ["server_version", *DURABLE, "wal_sync_method", "shared_buffers", *SETTINGS]
        return {name: self.run("postgres", f"SHOW {name}")[0][0] for name in names}


@contextmanager
def cluster(*, parent: Path | None = None, extra: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Start PostgreSQL in a new folder under ``parent`` (default: the system's folder for temporary files)."""
    folder = Path(tempfile.mkdtemp(prefix="homing-bench-", dir=parent))
    try:
        with embedded(folder) as address, psycopg.connect(address, autocommit=True) as connection:
            for name, value in {**SETTINGS, **(extra or {})}.items():
                statement = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                connection.execute(statement)
        with embedded(folder) as address:  # max_connections took a restart
            pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
            running = Cluster(pid=pid, address=address)
            settings = running.settings()
            unsafe = [name for name in DURABLE if settings[name] != "on"]
            if unsafe:
                raise SystemExit(f"this PostgreSQL is not durable, its figures are worth nothing: {unsafe} not on")
            yield running
    finally:
        shutil.rmtree(folder)
