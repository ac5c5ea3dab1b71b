"""The contractor CRM at the size of a large company: each of specification 5's queries with its plan, what a worker and
an owner wait for, and how long an assignment takes to the phone.

A node of its own serves only the CRM. Rows are loaded with the triggers off, as a company's old data would be; what is
measured is written with all of them on. The worker who is measured has the same jobs at both sizes: what they wait for
must not grow with the company.
"""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
from argon2 import PasswordHasher
from psycopg import sql

from bench.cluster import Cluster
from bench.contenders import pull
from bench.contenders.homing import BASE, PASSWORD, HomingClient, _post
from bench.figures import Figure, milliseconds
from bench.plan import FULL, Bench
from bench.server import free_port, running
from bench.wire import Connection
from homing.postgres.lines import load_with

DATABASE = "bench_crm"
PACKAGE = "homing.apps.crm"
CUSTOMERS, JOBS, MATERIALS_EACH = 50_000, 200_000, 10
WORKERS = 200
OWN_JOBS = 40
"""Jobs of the worker who is measured."""
DAY = 20
"""Materials of the worker's jobs that others change in a day."""
PAGE = 5000
LARGE = ("customers", "jobs", "job_assignments", "materials", "activity_logs", "job_activities", "job_status_history")

ADD_USER = """
INSERT INTO homing.users (id, username, name, role, password_hash)
VALUES (%(id)s, %(login)s, %(login)s, %(role)s, %(hash)s)
"""
TRIGGERS = """
SELECT format('%s.%s', n.nspname, c.relname), t.tgname, t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'crm' AND NOT t.tgisinternal AND t.tgparentid = 0
"""
# Customer n has the id …n of family 1, job n of family 2; nine in ten jobs are completed.
LOAD = (
    """INSERT INTO crm.customers (id, name, phone, address, updated_at)
    SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'Customer ' || n,
           '555-' || lpad(n::text, 6, '0'),
           n || ' ' || (ARRAY['Elm', 'Oak', 'Mill', 'Harbour'])[1 + n %% 4] || ' Street, Town' || n %% 500,
           now() - n * interval '1 minute'
    FROM generate_series(%(customers_from)s::int, %(customers_to)s::int) n""",
    """INSERT INTO crm.jobs (id, title, customer_id, status, start_date, created_by_id, updated_by_id, updated_at)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'Job ' || n,
           ('00000000-0000-0000-0001-' || lpad((1 + n %% %(customers_to)s::int)::text, 12, '0'))::uuid,
           CASE WHEN n %% 1000 < 900 THEN 'COMPLETED' ELSE
               (ARRAY['NOT_STARTED', 'IN_PROGRESS', 'ON_HOLD', 'WAITING_ON_MATERIALS'])[1 + n %% 4] END,
           current_date + n %% 90, %(owner)s, %(owner)s, now() - n * interval '1 minute'
    FROM generate_series(%(jobs_from)s::int, %(jobs_to)s::int) n""",
    """INSERT INTO crm.job_assignments (job_id, user_id)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid,
           (%(workers)s::uuid[])[1 + n * 7 / 3 %% %(crew)s::int]
    FROM generate_series(%(jobs_from)s::int, %(jobs_to)s::int) n""",
    """INSERT INTO crm.materials (job_id, item_name, quantity, added_by_id, purchased, purchased_by_id, purchased_at)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'Item ' || m, 1 + m, %(owner)s, m %% 2 = 0,
           CASE WHEN m %% 2 = 0 THEN %(owner)s::uuid END, CASE WHEN m %% 2 = 0 THEN now() END
    FROM generate_series(%(jobs_from)s::int, %(jobs_to)s::int) n, generate_series(1, %(each)s::int) m""",
    """INSERT INTO crm.job_status_history (job_id, from_status, to_status, changed_by_id, changed_at)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'NOT_STARTED', 'IN_PROGRESS', %(owner)s,
           now() - n * interval '1 second'
    FROM generate_series(%(jobs_from)s::int, %(jobs_to)s::int) n""",
    """INSERT INTO crm.activity_logs (entity_type, entity_id, action, user_id, job_id, created_at)
    SELECT 'job', ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'create', %(owner)s,
           ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, now() - n * interval '1 second'
    FROM generate_series(%(jobs_from)s::int, %(jobs_to)s::int) n""",
)
OWN = """
WITH made AS (
    INSERT INTO crm.jobs (title, customer_id, status, created_by_id)
    SELECT 'Own ' || n, c.id, 'IN_PROGRESS', %(owner)s
    FROM generate_series(1, %(jobs)s::int) n, (SELECT id FROM crm.customers ORDER BY id LIMIT 1) c
    RETURNING id
), given AS (INSERT INTO crm.job_assignments (job_id, user_id) SELECT id, %(worker)s FROM made)
INSERT INTO crm.materials (job_id, item_name, added_by_id)
SELECT id, 'Item ' || m, %(owner)s FROM made, generate_series(1, %(each)s::int) m
"""
TOUCH = """
UPDATE crm.materials SET notes = %(note)s WHERE id IN (
    SELECT m.id FROM crm.materials m
    WHERE m.job_id = ANY (ARRAY(SELECT a.job_id FROM crm.job_assignments a WHERE a.user_id = %(worker)s LIMIT 2))
    LIMIT %(count)s::int)
"""


@dataclass
class _Company:
    cluster: Cluster
    port: int
    people: dict[str, uuid.UUID]
    crew: list[uuid.UUID]
    loaded: int = 0
    """Jobs so far."""

    def run(self, statement: str, parameters: dict[str, Any] | None = None) -> Any:
        return self.cluster.run(DATABASE, statement, parameters)

    def grow(self, jobs: int, customers: int, customers_before: int) -> None:
        """Load rows up to these numbers, with the triggers off; then as they were."""
        parameters = {
            "customers_from": customers_before + 1,
            "customers_to": customers,
            "jobs_from": self.loaded + 1,
            "jobs_to": jobs,
            "owner": self.people["owner"],
            "workers": self.crew,
            "crew": len(self.crew),
            "each": MATERIALS_EACH,
        }
        with psycopg.connect(self.cluster.url(DATABASE)) as conn:
            triggers = conn.execute(TRIGGERS).fetchall()
            for table, trigger, _ in triggers:
                conn.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(*_named(table, trigger)))
            for statement in LOAD:
                conn.execute(statement, parameters)  # type: ignore[arg-type]
            for table, trigger, enabled in triggers:
                how = sql.SQL("ENABLE ALWAYS" if enabled == "A" else "ENABLE")
                conn.execute(sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(*_around(table, how, trigger)))
        self.loaded = jobs
        self.run("VACUUM ANALYZE")
        self.cluster.checkpoint()

    def client(self, login: str, device: str) -> HomingClient:
        body = {"login": login, "password": PASSWORD, "platform": "mobile", "device_id": device}
        token = str(_post(Connection(self.port), "/auth/login", body)["access_token"])
        about = {"device_id": device, "device_type": "bench", "os_version": "1", "app_version": "1"}
        _post(Connection(self.port, {"Authorization": f"Bearer {token}"}), "/mobile/devices", about)
        return HomingClient(self.port, device=device, access_token=token, team=uuid.UUID(int=0))


def _named(table: str, trigger: str) -> tuple[sql.Composable, sql.Composable]:
    return sql.Identifier(*table.split(".")), sql.Identifier(trigger)


def _around(table: str, how: sql.SQL, trigger: str) -> tuple[sql.Composable, sql.SQL, sql.Composable]:
    named, called = _named(table, trigger)
    return named, how, called


def crm(bench: Bench) -> Iterator[Figure]:
    """Everything, at a tenth of the size and at the whole."""
    share = 1 if bench.plan.rounds >= FULL.rounds else 10
    customers, jobs = CUSTOMERS // share, JOBS // share
    url, port = bench.cluster.create(DATABASE), free_port()
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port), "HOMING_APPS": "crm"}
    environ["HOMING_ACCESS_TOKEN_SECONDS"] = "3600"
    with running([sys.executable, "-m", "bench.servers.homing"], port=port, environ=environ, name="the CRM"):
        company = _found(bench.cluster, port)
        company.grow(jobs // 10, customers // 10, 0)
        company.run(OWN, {**_who(company), "jobs": OWN_JOBS, "each": MATERIALS_EACH})
        yield from _worker(bench, company)
        company.grow(jobs, customers, customers // 10)
        yield from _worker(bench, company)
        yield from _queries(bench, company, customers)
        yield from _arrivals(bench, company)
        yield from _owner(company)


def _found(cluster: Cluster, port: int) -> _Company:
    hashed = PasswordHasher().hash(PASSWORD)
    people = {"owner": uuid.uuid4(), "worker": uuid.uuid4()}
    crew = [uuid.uuid4() for _ in range(WORKERS)]
    for login, user in people.items():
        row = {"id": user, "login": login, "role": "OWNER" if login == "owner" else "WORKER", "hash": hashed}
        cluster.run(DATABASE, ADD_USER, row)
    for number, user in enumerate(crew):
        cluster.run(DATABASE, ADD_USER, {"id": user, "login": f"crew-{number}", "role": "WORKER", "hash": None})
    return _Company(cluster, port, people, crew)


def _who(company: _Company) -> dict[str, Any]:
    return {"owner": company.people["owner"], "worker": company.people["worker"]}


def _worker(bench: Bench, company: _Company) -> Iterator[Figure]:
    case = f"among {company.loaded * MATERIALS_EACH:,} materials"
    client = company.client("worker", f"phone-{company.loaded}")
    first: list[float] = []
    token = None
    for _ in range(bench.plan.rounds):
        start = time.perf_counter()
        pulled = pull(client, None, PAGE)
        first.append(time.perf_counter() - start)
        token, rows = pulled.token, pulled.changes
    yield _ms("crm: a worker's first sync", case, first, rows=rows)
    daily: list[float] = []
    for number in range(bench.plan.samples):
        note = {"note": f"{company.loaded} {number}", "count": DAY}
        company.run(TOUCH, {"worker": company.people["worker"], **note})
        # What the rest of the company does meanwhile.
        company.run(TOUCH, {"worker": company.crew[number % WORKERS], **note})
        start = time.perf_counter()
        pulled = pull(client, token, PAGE)
        daily.append(time.perf_counter() - start)
        token = pulled.token
        if pulled.changes != 2 * DAY:  # each change, and what the trail says of it
            raise SystemExit(f"a day of {DAY} changes came as {pulled.changes}")
    yield _ms("crm: a worker's daily delta", case, daily, rows=2 * DAY)
    client.close()


def _queries(bench: Bench, company: _Company, customers: int) -> Iterator[Figure]:
    """The statements that the server runs, as it prepares them: by generic plans, over the same columns."""
    rng = Random(5)  # the same rows in every run

    def job() -> str:
        return f"00000000-0000-0000-0002-{rng.randint(1, company.loaded):012}"

    search = {"active"}
    cases: list[tuple[str, str, set[str], Any]] = [
        ("customer search: a rare word", "search_customers", search, lambda: {"q": str(rng.randint(1, customers))}),
        ("customer search: a town", "search_customers", search, lambda: {"q": f"town{rng.randint(0, 499)}"}),
        ("customer search: a word of every fourth", "search_customers", search, lambda: {"q": "harbour street"}),
        ("customer search: a phone", "search_customers", search, lambda: {"q": f"555-{rng.randint(0, 99):04}"}),
        ("owner's dashboard", "list_jobs", {"active"}, dict),
        ("worker's dashboard", "list_worker_jobs", set(), lambda: {"worker": rng.choice(company.crew)}),
        ("materials checklist", "list_materials", set(), lambda: {"job": job()}),
        ("fifty jobs, described", "describe_jobs", set(), lambda: {"ids": [job() for _ in range(50)]}),
        ("activity of a job", "list_activity", {"job"}, lambda: {"job": job()}),
        ("status history", "list_history", set(), lambda: {"job": job()}),
    ]  # fmt: skip
    options = "-c plan_cache_mode=force_generic_plan -c jit=off"
    with psycopg.connect(company.cluster.url(DATABASE), autocommit=True, options=options) as conn:
        conn.prepare_threshold = 1
        for case, name, filters, asked in cases:
            statement = load_with(PACKAGE, name, frozenset(filters))
            taken = []
            for number in range(bench.plan.samples + 3):
                params = {**asked(), "limit": 21}
                start = time.perf_counter()
                conn.execute(statement, params).fetchall()
                if number >= 3:  # the first are prepared and planned
                    taken.append(time.perf_counter() - start)
            yield _ms("crm query", case, taken, plan=_plan(conn, statement, {**asked(), "limit": 21}))


def _plan(conn: psycopg.Connection[Any], statement: str, params: dict[str, Any]) -> str:
    """Nodes that read tables, as "index" or "Seq Scan on table". Stops the run where a large table is read whole."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    prepared = re.sub(r"%\((\w+)\)s", number, statement).replace("%%", "%")
    conn.execute(f"PREPARE explained AS {prepared}".encode())  # or it would be planned for these values
    values = sql.SQL(", ").join(sql.Literal(params[name]) for name in names)
    row = conn.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained ({})").format(values)).fetchone()
    conn.execute("DEALLOCATE explained")
    assert row is not None
    found: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        if "Index Name" in node:
            found.append(re.sub(r"activity_logs_(\d+|default)_", "activity_logs_…_", node["Index Name"]))
        elif node["Node Type"] == "Seq Scan":
            if node["Relation Name"] in LARGE:
                raise SystemExit(f"a sequential scan of {node['Relation Name']}: {statement}")
            found.append(f"Seq Scan on {node['Relation Name']}")
        for child in node.get("Plans", ()):
            walk(child)

    walk(row[0][0]["Plan"])
    return ", ".join(dict.fromkeys(found))


def _arrivals(bench: Bench, company: _Company) -> Iterator[Figure]:
    """From the office's click to the rows on the phone: one call, and the pull that follows it."""
    phone = company.client("worker", "arrivals")
    login = {"login": "owner", "password": PASSWORD}
    token = str(_post(Connection(company.port), "/auth/login", login)["access_token"])
    desk = Connection(company.port, {"Authorization": f"Bearer {token}"})
    held = pull(phone, None, PAGE).token
    taken = []
    for number in range(bench.plan.samples):
        body = f'{{"user_id": "{company.people["worker"]}"}}'.encode()
        start = time.perf_counter()
        path = f"{BASE}/jobs/00000000-0000-0000-0002-{number + 1:012}/assignments"
        answer = desk.request("POST", path, body)
        pulled = pull(phone, held, PAGE)
        taken.append(time.perf_counter() - start)
        held = pulled.token
        # A job, its customer, its materials, two assignments, a step of its status, and at least an entry of the trail.
        if answer.status != 201 or pulled.changes < MATERIALS_EACH + 6:
            raise SystemExit(f"an assignment: {answer.status}, and {pulled.changes} rows came")
    yield _ms("crm: assignment to arrival", f"among {company.loaded:,} jobs", taken, rows=pulled.changes)
    phone.close()
    desk.close()


def _owner(company: _Company) -> Iterator[Figure]:
    client = company.client("owner", "laptop")
    start = time.perf_counter()
    pulled = pull(client, None, PAGE)
    seconds = time.perf_counter() - start
    yield Figure(
        measure="crm: an owner's first sync",
        case=f"{pulled.changes:,} rows",
        contender="homing",
        unit="items/s",
        better="higher",
        rounds=[round(pulled.changes / seconds, 1)],
        extra={"seconds": round(seconds, 1)},
    )
    client.close()


def _ms(measure: str, case: str, seconds: list[float], **extra: Any) -> Figure:
    return Figure(
        measure=measure,
        case=case,
        contender="homing",
        unit="ms p50",
        better="lower",
        rounds=[milliseconds(seconds, 0.5)],
        extra={"p99 ms": milliseconds(seconds, 0.99), "samples": len(seconds), **extra},
    )
