"""The console's pages at the size of a large fleet: what somebody in the office waits for, from the click to the whole
page.

A node of its own serves every application that a fleet has. Rows are loaded with the triggers off, as years of work
would have left them: devices, submissions, their history, batches of the last days, conflicts and a quarantine that
wait.
"""

from __future__ import annotations

import http.client
import re
import sys
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlencode

import psycopg
from argon2 import PasswordHasher

from bench.cluster import Cluster
from bench.contenders.homing import PASSWORD
from bench.figures import Figure, milliseconds
from bench.plan import FULL, Bench
from bench.server import free_port, running

DATABASE = "bench_console"
DEVICES, SUBMISSIONS = 100_000, 1_000_000
BATCHES = 500_000
WAITING = 2_000
"""Conflicts and quarantined items that wait for a person."""

ADD_OWNER = """
INSERT INTO homing.users (id, username, name, role, password_hash)
VALUES (%(id)s, 'owner', 'Owner', 'OWNER', %(hash)s)
"""
LOAD = (
    """INSERT INTO homing.users (id, username, name, role)
    SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'worker-' || n, 'Worker ' || n, 'WORKER'
    FROM generate_series(1, %(devices)s::int) n""",
    """INSERT INTO homing.mobile_devices (id, device_id, user_id, device_type, os_version, app_version, status,
                                          last_seen,
                                          created_at)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'phone-' || n,
           ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'phone', 'Android ' || 12 + n %% 4,
           '2.' || n %% 7 || '.' || n %% 3,
           (CASE WHEN n %% 50 = 0 THEN 'revoked' WHEN n %% 70 = 0 THEN 'suspended' ELSE 'active'
           END)::homing.device_status, now() - n * interval '3 seconds', now() - n * interval '10 minutes'
    FROM generate_series(1, %(devices)s::int) n""",
    """INSERT INTO homing.cursors (device_id, snapshot, epoch, delivered, acked_at)
    SELECT d.id, pg_current_snapshot(), e.epoch, 1, d.last_seen - interval '20 seconds'
    FROM homing.mobile_devices d, homing.epoch e""",
    """INSERT INTO fieldwork.teams (id, name)
    SELECT ('00000000-0000-0000-0003-' || lpad(n::text, 12, '0'))::uuid, 'Team ' || n FROM generate_series(1, 500) n""",
    """INSERT INTO fieldwork.mobile_forms (id, code, name, schema, version, published, draft)
    VALUES ('00000000-0000-0000-0004-000000000001', 'visit', 'Visit', '{}', '1', true, false)""",
    """INSERT INTO fieldwork.form_versions (form_id, form_version, schema)
    VALUES ('00000000-0000-0000-0004-000000000001', '1', '{}')""",
    """INSERT INTO fieldwork.submissions (id, form_id, form_version, data, device_id, status, created_at, team_id,
                                          author_id)
    SELECT ('00000000-0000-0000-0005-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-0000-0004-000000000001', '1',
           jsonb_build_object('visit', n, 'remark', 'All was well on visit ' || n),
           ('00000000-0000-0000-0002-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid,
           (ARRAY['pending', 'approved', 'approved', 'rejected'])[1 + n %% 4]::fieldwork.submission_status,
           now() - n * interval '20 seconds',
           ('00000000-0000-0000-0003-' || lpad((1 + n %% 500)::text, 12, '0'))::uuid,
           ('00000000-0000-0000-0001-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid
    FROM generate_series(1, %(submissions)s::int) n""",
    """INSERT INTO homing.history (table_id, row_id, version, action, changes, actor, at)
    SELECT t.id, '00000000-0000-0000-0005-' || lpad(n::text, 12, '0'), 2, 'update', '{"status": ["pending",
    "approved"]}',
           '00000000-0000-0000-0001-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'),
           now() - (%(submissions)s::int - n) * interval '2 seconds'
    FROM homing.synced_tables t, generate_series(1, %(submissions)s::int) n WHERE t.name = 'fieldwork.submissions'""",
    """INSERT INTO homing.sync_batches (id, batch_token, device_id, user_id, status, items_count, created_at,
                                        processed_at,
                                        body_hash)
    SELECT ('00000000-0000-0000-0006-' || lpad(n::text, 12, '0'))::uuid, 'batch ' || n, d.id, d.user_id,
           (CASE WHEN n %% 400 = 0 THEN 'failed' ELSE 'completed' END)::homing.batch_status, 1 + n %% 20,
           now() - n * interval '1 second', now() - n * interval '1 second', ''
    FROM generate_series(1, %(batches)s::int) n
    JOIN homing.mobile_devices d ON d.id = ('00000000-0000-0000-0002-' || lpad((1 + n %% %(devices)s::int)::text, 12,
    '0'))::uuid""",
    """INSERT INTO homing.sync_items (batch_id, resource_type, action, payload, status, position, code, quarantined_at,
                                      device_id)
    SELECT b.id, 'submission', 'create', '{"form_id": "gone"}', 'error', 0, 'invalid_value', b.created_at, b.device_id
    FROM homing.sync_batches b ORDER BY b.created_at DESC LIMIT %(waiting)s""",
    """INSERT INTO homing.conflicts (resource_type, row_id, resource_id, server_payload, client_payload, base_payload,
                                     server_version, base_version, fields, device_id, user_id, created_at)
    SELECT 'submission', s.id::text, s.id, '{"status": "approved"}', '{"status": "rejected"}', '{"status": "pending"}',
    3, 1,
           '{status}', s.device_id, s.author_id, s.created_at
    FROM fieldwork.submissions s ORDER BY s.created_at DESC LIMIT %(waiting)s""",
)


def console(bench: Bench) -> Iterator[Figure]:
    """Every page that grows with something, as a browser gets it."""
    share = 1 if bench.plan.rounds >= FULL.rounds else 10
    url, port = bench.cluster.create(DATABASE), free_port()
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port), "HOMING_APPS": "fieldwork,messaging,crm"}
    with running([sys.executable, "-m", "bench.servers.homing"], port=port, environ=environ, name="the console"):
        _load(bench.cluster, share)
        browser = _Browser(port)
        case = f"{DEVICES // share:,} devices, {SUBMISSIONS // share:,} submissions"
        for name, address in _pages(browser):
            taken = []
            for number in range(bench.plan.samples + 3):
                start = time.perf_counter()
                page = browser.get(address)
                if number >= 3:
                    taken.append(time.perf_counter() - start)
            yield Figure(
                measure=f"console: {name}",
                case=case,
                contender="homing",
                unit="ms p50",
                better="lower",
                rounds=[milliseconds(taken, 0.5)],
                extra={"p99 ms": milliseconds(taken, 0.99), "samples": len(taken), "bytes": len(page)},
            )


def _load(cluster: Cluster, share: int) -> None:
    cluster.run(DATABASE, ADD_OWNER, {"id": uuid.uuid4(), "hash": PasswordHasher().hash(PASSWORD)})
    sizes = {
        "devices": DEVICES // share,
        "submissions": SUBMISSIONS // share,
        "batches": BATCHES // share,
        "waiting": WAITING,
    }
    with psycopg.connect(cluster.url(DATABASE)) as conn:
        # Stamps too are defaults of their columns; no trigger runs.
        conn.execute("SET session_replication_role = replica")
        names = ("fieldwork.submissions", "fieldwork.teams", "fieldwork.mobile_forms", "fieldwork.form_versions")
        for name in names:
            conn.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER".encode())
        for statement in LOAD:
            conn.execute(statement, sizes)  # type: ignore[arg-type]
        for name in names:
            conn.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER".encode())
        for table, trigger in conn.execute(ALWAYS).fetchall():
            conn.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}".encode())
    cluster.run(DATABASE, "VACUUM ANALYZE")
    cluster.checkpoint()


ALWAYS = """
SELECT c.oid::regclass::text, quote_ident(t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE t.tgname LIKE 'zz\\_homing\\_%' AND t.tgenabled <> 'A'
"""


class _Browser:
    """One kept connection, signed in by the form."""

    def __init__(self, port: int) -> None:
        self._conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Origin": f"http://127.0.0.1:{port}", "Accept": "text/html"}
        form = urlencode({"login": "owner", "password": PASSWORD})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        self._conn.request("POST", "/console/sign-in", form, {**self._headers, **kind})
        answer = self._conn.getresponse()
        answer.read()
        if answer.status != 303:
            raise SystemExit(f"signing in: {answer.status}")
        self._headers["Cookie"] = str(answer.getheader("set-cookie")).partition(";")[0]

    def get(self, address: str) -> str:
        self._conn.request("GET", address, headers=self._headers)
        answer = self._conn.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{address}: {answer.status}")
        return text

    def next_of(self, address: str, pages: int) -> str:
        """The address so many pages further on."""
        for _ in range(pages):
            found = re.search(r'href="([^"]+)" rel="next"', self.get(address))
            if found is None:
                raise SystemExit(f"{address} has no next page")
            address = found[1].replace("&amp;", "&")
        return address


def _pages(browser: _Browser) -> Iterator[tuple[str, str]]:
    rows = "/console/tables/fieldwork.submission"
    team = "team_id:is:00000000-0000-0000-0003-000000000007"
    row = "00000000-0000-0000-0005-000000000777"
    yield "overview", "/console/overview"
    yield "tables", "/console/tables"
    yield "rows, the latest changed", rows
    yield "rows, twenty pages on", browser.next_of(rows, 20)
    yield "rows, by an indexed filter", f"{rows}?{urlencode({'where': team})}"
    yield "rows, by a status, sorted", f"{rows}?{urlencode({'where': 'status:is:rejected', 'sort': '-created_at'})}"
    yield "a row", f"{rows}/row?key={row}"
    yield "a form", f"{rows}/edit?key={row}"
    yield "users", "/console/users"
    yield "users, searched", "/console/users?q=worker-99"
    yield "audit log", "/console/audit"
    yield "audit log, of one person", f"/console/audit?{urlencode({'actor': '00000000-0000-0000-0001-000000000778'})}"
    yield "audit log, twenty pages on", browser.next_of("/console/audit", 20)
    for name in ("conflicts", "devices", "batches", "quarantine"):
        yield name, f"/console/{name}"
