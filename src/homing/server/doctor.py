"""The doctor: what is wrong with a tenant and its database, or soon will be, and what to do about it.

Looks only, and changes nothing. Every finding is ``ok``, ``warn`` (look at it this week) or ``fail`` (look at it now),
with what was found and, unless it is ok, what to do. ``homing doctor`` and ``GET /health/ready?verbose`` show the same.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from psycopg.rows import dict_row

from homing.jobs.worker import Outlook, look_ahead
from homing.postgres import migrations
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.server import vitals
from homing.server.tenant import Tenant, sets_of
from homing.server.vitals import Bloat, Vitals

State = Literal["ok", "warn", "fail"]

VERSION_MIN = 15
CONNECTIONS_WARN, CONNECTIONS_FAIL = 0.8, 0.95
"""Parts of max_connections. The last few are PostgreSQL's for superusers, and then nobody else gets in."""
TRANSACTION_SECONDS_MAX = 300
"""A transaction open for longer keeps dead rows from being cleared, and every token's snapshot wide."""
LAG_SECONDS_MAX = 60
CLOCK_SECONDS_MAX = 5
"""Tokens are checked by the server's clock, and times of rows come from the database's."""
DEAD_WARN, DEAD_ROWS_MIN = 0.2, 10_000
SCANNED_ROWS_MIN = 100_000
"""A table with fewer rows may well be read whole."""
DISK_WARN, DISK_FAIL = 0.1, 0.02
EXPIRED_WARN = 100
LISTED = 8
"""Tables whose sizes are shown."""
NAMED = 3
UNUSED_DAYS = 30
"""Statistics of fewer days say nothing about what is used at the end of a month."""
BLOAT_WARN = 0.5
JOB_SECONDS_MAX = 900
PROBE = f"{0:08d}/{0:032x}"
"""A key that no upload gets: the store is asked for it only to see whether it answers."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``todo`` is empty where nothing is to be done."""

    check: str
    state: State
    found: str
    todo: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """``counts`` is specification 3's health query: user_count, sync_errors, and with messaging message_count and
    pending_sync_count. ``state`` is the worst of the findings'."""

    state: State
    counts: dict[str, int]
    findings: list[Finding]


async def examine(tenant: Tenant) -> Diagnosis:
    """Everything, in the order in which it should be looked at. Raises Problem("unavailable")."""
    owner = tenant.engine.owner
    schemas = tenant.schemas
    async with owner.connection() as conn:
        server = await _one(conn, "read_server")
        waiting = await _one(conn, "read_waiting")
        tables = await fetch_all(conn, load(__package__, "read_tables"), {"schemas": schemas, "limit": LISTED})
        bad = [name for (name,) in await fetch_all(conn, load(__package__, "read_bad_indexes"), {"schemas": schemas})]
        counts = await count(tenant, conn, waiting)
        vital = await vitals.read(conn, schemas=schemas)
        bloat = await vitals.measure_bloat(conn, vital.tables)
        jobs = await look_ahead(conn, [], now=tenant.clock())
    sets = sets_of(tenant.apps)
    # Of other sets nothing is asked: the control tables', and those of applications that are not served just now.
    own = {each.name for each in sets}
    applied = [each for each in await migrations.status(owner, sets) if each.set in own]
    findings = [
        *_server(server),
        _clock(server["clock"] - tenant.clock().timestamp()),
        _migrations(applied),
        _extensions(server),
        _epoch(waiting),
        *_tables(tables, bad, server["bytes"]),
        *_vitals(vital, bloat),
        _jobs(jobs),
        *_waiting(waiting),
        await _store(tenant),
        await asyncio.to_thread(_disk, tenant),
        *_settings(tenant),
    ]
    return Diagnosis(state=worst(findings), counts=counts, findings=findings)


def worst(findings: list[Finding]) -> State:
    states = {finding.state for finding in findings}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"


async def count(tenant: Tenant, conn: Connection, waiting: dict[str, Any]) -> dict[str, int]:
    """The spec's health query: the core's figures, and those that applications add (``count_health``)."""
    counts = {"user_count": waiting["user_count"], "sync_errors": waiting["sync_errors"]}
    for module in tenant.modules.values():
        if (more := getattr(module, "count_health", None)) is not None:
            counts |= await more(conn)
    return counts


async def _one(conn: Connection, name: str) -> dict[str, Any]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(load(__package__, name))).fetchone()
    assert row is not None
    return row


def _server(server: dict[str, Any]) -> Iterator[Finding]:
    version = server["version"]
    yield _judge(
        "postgresql",
        f"PostgreSQL {version}",
        fail=version < VERSION_MIN,
        todo=f"Homing needs PostgreSQL {VERSION_MIN} or newer.",
    )
    off = [name for name in ("fsync", "full_page_writes") if server[name] == "off"]
    lazy = server["synchronous_commit"] == "off"
    yield _judge(
        "durability",
        ", ".join(f"{name} {server[name]}" for name in ("fsync", "full_page_writes", "synchronous_commit")),
        fail=bool(off),
        warn=lazy,
        todo=f"Set {' and '.join([*off, *(['synchronous_commit'] if lazy else [])])} to on:"
        " what a device was told is stored must survive a power cut.",
    )
    used = server["connections"] / server["connections_max"]
    yield _judge(
        "connections",
        f"{server['connections']} of {server['connections_max']}",
        fail=used > CONNECTIONS_FAIL,
        warn=used > CONNECTIONS_WARN,
        todo="Lower HOMING_POOL_SIZE or HOMING_TENANT_CONNECTIONS_MAX, or raise max_connections.",
    )
    oldest = server["oldest_transaction"] or 0.0
    yield _judge(
        "open transactions",
        f"the oldest is open for {oldest:.0f} s" if oldest else "none",
        warn=oldest > TRANSACTION_SECONDS_MAX,
        todo="Look in pg_stat_activity who forgot to commit: dead rows stay, and tokens grow.",
    )
    lag, slots = server["replication_lag"], server["idle_slots"] or []
    yield _judge(
        "replication",
        f"{server['standbys']} standbys" + (f", {lag:.0f} s behind" if lag else ""),
        fail=bool(slots),
        warn=bool(lag and lag > LAG_SECONDS_MAX),
        todo=f"Nobody reads the slots {', '.join(slots)}: drop them before their WAL fills the disk."
        if slots
        else "A standby is slow: pulls that it serves show an older state.",
    )


def _clock(ahead: float) -> Finding:
    return _judge(
        "clock",
        f"the database's is {ahead:+.1f} s from this machine's",
        warn=abs(ahead) > CLOCK_SECONDS_MAX,
        todo="Let both follow the same time server.",
    )


def _migrations(applied: list[migrations.MigrationStatus]) -> Finding:
    wrong = [f"{each.label} is {each.state}" for each in applied if each.state != "applied"]
    return _judge(
        "migrations",
        "; ".join(wrong) or f"all {len(applied)} applied",
        fail=bool(wrong),
        todo="Run homing migrate. What is unknown was applied by a newer version; what is changed, by other files.",
    )


def _extensions(server: dict[str, Any]) -> Finding:
    there = server["extensions"]
    missing = server["postgis_there"] and not any(name.startswith("postgis ") for name in there)
    return _judge(
        "extensions",
        ", ".join(there),
        warn=missing,
        todo="PostGIS is there but not in this database: places are plain points. See the decision on PostGIS.",
    )


def _epoch(waiting: dict[str, Any]) -> Finding:
    return _judge(
        "epoch",
        f"{waiting['epoch']} since {waiting['epoch_since']:%Y-%m-%d %H:%M} ({waiting['epoch_reason']})",
        fail=not waiting["same_cluster"],
        todo="The database came from another cluster and no server was started on it since: start one.",
    )


def _tables(tables: list[Any], bad: list[str], total: int) -> Iterator[Finding]:
    sizes = ", ".join(f"{name} {_size(size)}" for name, size, *_ in tables)
    swollen = [name for name, _, live, dead, *_ in tables if dead > DEAD_ROWS_MIN and dead > DEAD_WARN * (live + dead)]
    yield _judge(
        "table sizes",
        f"{_size(total)} in all; {sizes}",
        warn=bool(swollen),
        todo=f"Many dead rows in {', '.join(swollen)}: see that autovacuum runs, or VACUUM.",
    )
    walked = [
        name
        for name, _, live, _, _, indexed, whole in tables
        if live > SCANNED_ROWS_MIN and whole > indexed and whole > 1
    ]
    yield _judge(
        "indexes",
        f"not usable: {', '.join(bad)}" if bad else f"{len(tables)} largest tables looked at",
        fail=bool(bad),
        warn=bool(walked),
        todo=f"REINDEX INDEX CONCURRENTLY {', '.join(bad)}."
        if bad
        else f"More often read whole than by an index: {', '.join(walked)}. Somebody's query lacks one.",
    )


def _waiting(waiting: dict[str, Any]) -> Iterator[Finding]:
    for check, names, todo in (
        ("quarantine", ("quarantined", "held"), "Refused items or held batches wait: homing batches list."),
        ("conflicts", ("conflicts",), "Decide them: homing conflicts list."),
        ("device syncs", ("sync_errors", "stuck_syncs"), "See which devices: homing devices list."),
    ):
        yield _judge(
            check,
            ", ".join(f"{waiting[name]} {name.replace('_', ' ')}" for name in names),
            warn=any(waiting[name] for name in names),
            todo=todo,
        )
    yield _judge(
        "enrolments",
        f"{waiting['expired_enrolments']} expired and never used",
        warn=waiting["expired_enrolments"] > EXPIRED_WARN,
        todo="People do not come to scan: give them longer, or homing collect to clean up.",
    )
    yield _judge(
        "office",
        f"{waiting['owners']} active users with the role OWNER of {waiting['user_count']} users",
        warn=not waiting["owners"],
        todo="Nobody can decide anything: homing users create --role OWNER.",
    )
    yield _judge(
        "partitions",
        "next month's is there" if waiting["next_month"] else "next month's is missing",
        fail=not waiting["next_month"],
        warn=waiting["unplaced"],
        todo="Run homing collect; a running server does it daily."
        if not waiting["next_month"]
        else "History fell into the default partition while none was made: it stays there and is not collected.",
    )


def _vitals(vital: Vitals, bloat: list[Bloat]) -> Iterator[Finding]:
    dearest = [f"{s.seconds:.1f} s in {s.calls} calls of {s.text[:60]}" for s in (vital.statements or [])[:NAMED]]
    yield Finding(
        check="statements",
        state="ok",
        found="not counted: pg_stat_statements is not in this database"
        if vital.statements is None
        else f"the dearest: {'; '.join(dearest) or 'none yet'}",
    )
    unused = [f"{each.name} {_size(each.bytes)}" for each in vital.unused if each.bytes >= vitals.BLOAT_BYTES_MIN]
    yield _judge(
        "unused indexes",
        f"{', '.join(unused) or 'none of a size'} in {vital.statistics_days:.0f} days",
        warn=bool(unused) and vital.statistics_days >= UNUSED_DAYS,
        todo="They cost every write. Drop those of your own that no monthly or yearly report needs.",
    )
    swollen = [each for each in bloat if each.part > BLOAT_WARN]
    yield _judge(
        "bloat",
        ", ".join(f"{each.name} {each.part:.0%} {each.how}" for each in swollen) or f"{len(bloat)} large tables",
        warn=bool(swollen),
        todo="Rows come and go faster than autovacuum clears up: let it run more often on these tables.",
    )
    yield _judge(
        "archive",
        "off: a lost disk costs everything since the last backup"
        if vital.archiving is None
        else "nothing archived yet"
        if vital.archived_ago is None
        else f"the last file {vital.archived_ago:.0f} s ago",
        fail=vital.archiving is False,
        todo="archive_command fails, and the log grows until the disk is full: see pg_stat_archiver.",
    )


def _jobs(jobs: Outlook) -> Finding:
    return _judge(
        "jobs",
        f"{jobs.waiting} wait, the oldest for {jobs.oldest_seconds:.0f} s; {jobs.dead} dead",
        warn=bool(jobs.dead) or jobs.oldest_seconds > JOB_SECONDS_MAX,
        todo="Look at dead ones: homing jobs list --status dead. Old ones wait for a running server that knows them.",
    )


async def _store(tenant: Tenant) -> Finding:
    place = tenant.settings.media_url or "a folder in the data folder"
    try:
        await tenant.store.size(PROBE)
    except Problem as problem:
        return Finding(check="media store", state="fail", found=problem.detail, todo="Files cannot be sent or shown.")
    return Finding(check="media store", state="ok", found=f"{place} answers")


def _disk(tenant: Tenant) -> Finding:
    folder = tenant.settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    return _judge(
        "disk",
        f"{_size(usage.free)} free where the data folder is",
        fail=free < DISK_FAIL,
        warn=free < DISK_WARN,
        todo="Make room, or keep media in a bucket.",
    )


def _settings(tenant: Tenant) -> Iterator[Finding]:
    settings = tenant.settings
    yield _judge(
        "settings",
        f"apps {', '.join(settings.apps)}; listens on {settings.host}:{settings.port}",
        warn=settings.host not in ("127.0.0.1", "localhost", "::1")
        and not (settings.base_url or "").startswith("https:"),
        todo="It listens to others without an https address (HOMING_BASE_URL): put a proxy with TLS before it.",
    )


def _judge(check: str, found: str, *, fail: bool = False, warn: bool = False, todo: str) -> Finding:
    state: State = "fail" if fail else "warn" if warn else "ok"
    return Finding(check=check, state=state, found=found, todo=todo if state != "ok" else "")


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"
