"""The console's pages at the size of a large fleet: what somebody in the office waits for, from the click to the whole
page; and what each asks of PostgreSQL, which a loaded machine disturbs least.

A node of its own serves every application that a fleet has, with the rows of ``console_rows``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from bench.figures import Figure, milliseconds
from bench.measures import console_rows
from bench.measures.console_pages import EXPORTS, Browser, pages
from bench.plan import FULL, Bench
from bench.server import free_port, running

DATABASE = "bench_console"
SAMPLES_MAX = 30
"""Of a page: there are a hundred of them."""
WARM_UP = 3
"""The first calls prepare their statements, on more than one connection."""
STATISTICS = """
CREATE EXTENSION pg_stat_statements;
ALTER DATABASE {database} SET pg_stat_statements.track = 'top';
"""
ASKED = """
SELECT coalesce(sum(s.calls), 0)::bigint, coalesce(sum(s.total_exec_time), 0)::float8
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND s.query !~* %(aside)s
"""
ASIDE = (
    r"^\s*(begin|commit|rollback|set|select set_config|savepoint|release)\y"
    r"|pg_stat_statements|procrastinate_[a-z_]+_v[0-9]|live_nodes"
)
"""What frames statements, and what the node asks by itself."""


def console(bench: Bench) -> Iterator[Figure]:
    """Every page that grows with something, as a browser gets it."""
    share = 1 if bench.plan.rounds >= FULL.rounds else 10
    url, port = bench.cluster.create(DATABASE), free_port()
    bench.cluster.run(DATABASE, STATISTICS.format(database=DATABASE))
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port), "HOMING_APPS": ",".join(console_rows.SCHEMAS)}
    with running([sys.executable, "-m", "bench.servers.homing"], port=port, environ=environ, name="the console"):
        with psycopg.connect(url) as conn:
            console_rows.fill(conn, share)
        bench.cluster.run(DATABASE, "VACUUM ANALYZE")
        bench.cluster.checkpoint()
        case = f"{console_rows.DEVICES // share:,} devices, {console_rows.SUBMISSIONS // share:,} submissions"
        with psycopg.connect(url, autocommit=True) as conn:
            yield from measure(Browser(port), conn, case=case, samples=min(bench.plan.samples, SAMPLES_MAX))


def measure(browser: Browser, conn: psycopg.Connection[Any], *, case: str, samples: int) -> Iterator[Figure]:
    """One figure a page."""
    for name, address in pages(browser):
        ask = browser.begin if address.endswith(EXPORTS) else browser.get
        for _ in range(WARM_UP):
            ask(address)
        conn.execute("SELECT pg_stat_statements_reset()")
        ask(address)
        statements, database = conn.execute(ASKED, {"aside": ASIDE}).fetchone() or (0, 0.0)
        taken, size = [], 0
        for _ in range(samples):
            start = time.perf_counter()
            size = len(ask(address) or "")
            taken.append(time.perf_counter() - start)
        yield Figure(
            measure=f"console: {name}",
            case=case,
            contender="homing",
            unit="ms p50",
            better="lower",
            rounds=[milliseconds(taken, 0.5)],
            extra={
                "p95 ms": milliseconds(taken, 0.95),
                "queries": statements,
                "PostgreSQL ms": round(database, 2),
                "samples": samples,
                "bytes": size,
            },
        )
