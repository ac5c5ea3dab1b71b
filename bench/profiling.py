"""Where a push's or a pull's time goes: the server's Python under cProfile, PostgreSQL's statements by their time.

cProfile slows the server to about half; the shares are what to read, not the seconds.
"""

from __future__ import annotations

import io
import os
import pstats
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.cluster import Cluster, cluster
from bench.contenders import pull
from bench.contenders.homing import DATABASE, Homing, User, homing
from bench.load import drive
from bench.measures import pull as pulls
from bench.measures import push as pushes
from bench.measures.scopes import wide_user
from bench.meter import Meter

SUBJECTS = ("push", "pull", "delta", "scopes")
TOP = 45
ITEMS = 20_000
DELTAS = 2_000
WIDE_DELTAS = 100
SCOPES = 10_000
DUMP_SECONDS = 20
STATISTICS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all"}
STATEMENTS = """
SELECT round(total_exec_time)::integer AS ms, calls, rows, round(mean_exec_time::numeric, 3) AS mean_ms,
       toplevel, left(regexp_replace(query, '\\s+', ' ', 'g'), 150) AS query
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT 20
"""


def profile(subject: str, *, rows: int, clients: int) -> str:
    """Run ``subject`` against Homing with ``rows`` rows there before; a report as text."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-profile-") as folder, cluster(extra=STATISTICS) as postgres:
        dump = Path(folder) / "server.prof"
        with homing(postgres, profile=dump) as server:
            server.fill(rows)
            server.run("CREATE EXTENSION pg_stat_statements")
            # Empty deltas are asked for by the user with one scope, or by one with very many.
            user = wide_user(server, SCOPES, 10) if subject == "scopes" else server.worker
            work = partial(_work, server, subject, clients, user)
            work()  # warm-up
            plain = _measured(postgres, server, subject, work)
            server.run("SELECT pg_stat_statements_reset()")
            os.kill(server.pid, signal.SIGUSR1)
            work()
            statements = postgres.run(DATABASE, STATEMENTS)
            os.kill(server.pid, signal.SIGUSR2)
            _wait_for(dump)
        return "\n".join([plain, "", _python(dump), "", "PostgreSQL, by statement:", *_lines(statements)])


def _work(server: Homing, subject: str, clients: int, user: User) -> None:
    match subject:
        case "push":
            seeds = [time.monotonic_ns() + number for number in range(clients)]
            drive(clients, partial(pushes.prepare, server, seeds, ITEMS // clients))
        case "pull":
            drive(clients, partial(pulls.prepare, server, 1000))
        case _:
            token = pull(user.client(0), None, 5000).token
            drive(clients, partial(_prepare_deltas, user, token, WIDE_DELTAS if subject == "scopes" else DELTAS))


def _prepare_deltas(user: User, token: str | None, deltas: int, number: int) -> Callable[[], None]:
    client = user.client(number)

    def run() -> None:
        for _ in range(deltas):
            client.page(token, 1000)

    return run


def _measured(postgres: Cluster, server: Homing, subject: str, work: Callable[[], None]) -> str:
    with Meter({"server": server.pid, "PostgreSQL": postgres.pid}) as meter:
        work()
    cpu = ", ".join(f"{name} CPU {used:.2f} s" for name, used in meter.cpu.items())
    return f"{subject}, without the profiler: {meter.seconds:.2f} s with preparation, {cpu}"


def _wait_for(dump: Path) -> None:
    deadline = time.monotonic() + DUMP_SECONDS
    while not dump.exists():
        if time.monotonic() > deadline:
            raise SystemExit("the server wrote no profile")
        time.sleep(0.05)


def _python(dump: Path) -> str:
    text = io.StringIO()
    statistics = pstats.Stats(str(dump), stream=text)
    statistics.sort_stats("tottime").print_stats(TOP)
    statistics.sort_stats("cumulative").print_stats(TOP)
    return text.getvalue()


def _lines(statements: Sequence[tuple[Any, ...]]) -> list[str]:
    head = f"{'ms':>8} {'calls':>8} {'rows':>8} {'mean ms':>9}  query (> is run inside another)"
    rows = [
        f"{ms:>8} {calls:>8} {rows:>8} {mean:>9}  {'' if top else '> '}{query}"
        for ms, calls, rows, mean, top, query in statements
    ]
    return [head, *rows]
