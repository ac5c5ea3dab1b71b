"""The marketplace at 100,000 jobs: what a list and a profile take, in the form for the web and the one for phones, with
the plans; beside each, the same rows by plain SQL in the same run. Then what a heavy user's phone fetches first.

A node of its own serves only the marketplace. Rows are loaded with the triggers off, as an old market's would be.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import psycopg
from argon2 import PasswordHasher

from bench.contenders.homing import PASSWORD, _post
from bench.figures import Figure, milliseconds
from bench.measures.crm import ADD_USER, _around, _named, _plan
from bench.plan import FULL, Bench
from bench.server import free_port, running
from bench.wire import Connection
from homing.apps.marketplace import declaration
from homing.postgres.lines import load_with

DATABASE = "bench_market"
PACKAGE = "homing.apps.marketplace"
JOBS, PROFILES = 100_000, 20_000
HEAVY = {"saved": 1_000, "proposals": 2_000, "messages": 5_000}
"""What the heavy user has: years of looking for work."""
PAGE = 20
"""Jobs of a page, as the specification asks for them."""

TRIGGERS = """
SELECT format('%s.%s', n.nspname, c.relname), t.tgname, t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'marketplace' AND NOT t.tgisinternal AND t.tgparentid = 0
"""
# Person n has the id …n of family 1, their profile …n of family 2, job n …n of family 3; half of the jobs are open.
LOAD = (
    """INSERT INTO homing.users (id, username, name, role)
    SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'person-' || n, 'Person ' || n, 'WORKER'
    FROM generate_series(1, %(profiles)s::int) n""",
    """INSERT INTO marketplace.profiles (id, user_id, name, headline, bio, skills, created_at)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid,
           ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid,
           'Person ' || n, 'Assistant for ' || n, repeat('I answer mails and keep calendars. ', 30),
           ARRAY['english', 'skill ' || n %% 100], now() - n * interval '1 minute'
    FROM generate_series(1, %(profiles)s::int) n""",
    """INSERT INTO marketplace.jobs (id, client_id, title, description, skills, budget_min_cents, budget_max_cents,
                                     status, created_at)
    SELECT ('00000000-0000-0000-0003-' || lpad(n::text, 12, '0'))::uuid,
           ('00000000-0000-0000-0001-' || lpad((1 + n %% %(profiles)s::int)::text, 12, '0'))::uuid,
           'Job ' || n, repeat('Somebody has to answer these mails. ', 30), ARRAY['english', 'skill ' || n %% 100],
           10000, 50000, (CASE WHEN n %% 2 = 0 THEN 'open' ELSE 'draft' END)::marketplace.job_status,
           now() - n * interval '1 minute'
    FROM generate_series(1, %(jobs)s::int) n""",
    """INSERT INTO marketplace.saved_jobs (user_id, job_id)
    SELECT %(heavy)s, ('00000000-0000-0000-0003-' || lpad((2 * n)::text, 12, '0'))::uuid
    FROM generate_series(1, %(saved)s::int) n""",
    """INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, cover_letter, amount_cents)
    SELECT j.id, j.client_id, %(heavy)s, repeat('I would like to. ', 20), 20000
    FROM marketplace.jobs j WHERE j.status = 'open' ORDER BY j.id DESC LIMIT %(proposals)s::int""",
    """INSERT INTO marketplace.messages (sender_id, recipient_id, content, created_at)
    SELECT CASE WHEN n %% 2 = 0 THEN other ELSE %(heavy)s END, CASE WHEN n %% 2 = 0 THEN %(heavy)s ELSE other END,
           'Message ' || n, now() - n * interval '1 minute'
    FROM generate_series(1, %(messages)s::int) n,
         LATERAL (SELECT ('00000000-0000-0000-0001-' || lpad((1 + n %% 100)::text, 12, '0'))::uuid AS other) o""",
)
RAW_LISTING = """
SELECT to_jsonb(j)::text FROM marketplace.jobs j WHERE j.status = 'open'
ORDER BY j.created_at DESC, j.id DESC LIMIT %(limit)s
"""
RAW_PROFILE = "SELECT to_jsonb(p)::text FROM marketplace.profiles p WHERE p.id = %(id)s"


@dataclass
class _Times:
    """Seconds of one case: over HTTP, and the rows alone by plain SQL."""

    served: list[float]
    raw: list[float]
    size: int = 0


def market(bench: Bench) -> Iterator[Figure]:
    """Everything, at the whole size also in a quick run: it is what the figures are about."""
    url, port = bench.cluster.create(DATABASE), free_port()
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port), "HOMING_APPS": "marketplace"}
    environ["HOMING_ACCESS_TOKEN_SECONDS"] = "3600"
    if rates := getattr(declaration, "RATES", {}):  # one user asks for everything here
        environ["HOMING_RATES"] = ",".join(f"marketplace-{name}=off" for name in rates)
    with running([sys.executable, "-m", "bench.servers.homing"], port=port, environ=environ, name="the marketplace"):
        heavy = uuid.uuid4()
        row = {"id": heavy, "login": "heavy", "role": "WORKER", "hash": PasswordHasher().hash(PASSWORD)}
        bench.cluster.run(DATABASE, ADD_USER, row)
        _load(bench, heavy)
        login = {"login": "heavy", "password": PASSWORD, "platform": "mobile", "device_id": "bench"}
        token = str(_post(Connection(port), "/auth/login", login)["access_token"])
        signed_in = {"Authorization": f"Bearer {token}"}
        about = {"device_id": "bench", "device_type": "bench", "os_version": "1", "app_version": "1"}
        _post(Connection(port, signed_in), "/mobile/devices", about)
        client = Connection(port, signed_in)
        with psycopg.connect(url, autocommit=True, options="-c plan_cache_mode=force_generic_plan -c jit=off") as conn:
            conn.prepare_threshold = 1
            yield from _lists_and_profiles(bench, client, conn)
        yield from _initial_data(bench, client)
        client.close()


def _load(bench: Bench, heavy: uuid.UUID) -> None:
    with psycopg.connect(bench.cluster.url(DATABASE)) as conn:
        triggers = conn.execute(TRIGGERS).fetchall()
        for table, trigger, _ in triggers:
            conn.execute(psycopg.sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(*_named(table, trigger)))
        for statement in LOAD:
            conn.execute(statement, {"jobs": JOBS, "profiles": PROFILES, "heavy": heavy, **HEAVY})
        for table, trigger, enabled in triggers:
            how = psycopg.sql.SQL("ENABLE ALWAYS" if enabled == "A" else "ENABLE")
            conn.execute(psycopg.sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(*_around(table, how, trigger)))
    bench.cluster.run(DATABASE, "VACUUM ANALYZE")
    bench.cluster.checkpoint()


def _lists_and_profiles(bench: Bench, client: Connection, conn: psycopg.Connection[Any]) -> Iterator[Figure]:
    rng = Random(7)  # the same profiles in every run

    def profile() -> str:
        return f"00000000-0000-0000-0002-{rng.randint(1, PROFILES):012}"

    listing = load_with(PACKAGE, "list_jobs", frozenset({"open"}))
    plan = _plan(conn, listing, {"limit": PAGE + 1})
    for platform in ("web", "mobile"):
        times = _sample(
            bench,
            client,
            lambda _: f"/api/jobs/marketplace?limit={PAGE}&platform={platform}",  # noqa: B023 - used at once
            lambda _: conn.execute(RAW_LISTING, {"limit": PAGE}).fetchall(),
        )
        yield from _figures("market: a page of the listing", platform, times, rows=PAGE, plan=plan)
    plan = _plan(conn, RAW_PROFILE, {"id": profile()})
    for platform in ("web", "mobile"):
        ids = [profile() for _ in range(bench.plan.samples + 10)]
        times = _sample(
            bench,
            client,
            lambda n: f"/api/va/profiles/{ids[n]}?platform={platform}",  # noqa: B023 - used at once
            lambda n: conn.execute(RAW_PROFILE, {"id": ids[n]}).fetchall(),  # noqa: B023
        )
        yield from _figures("market: a profile", platform, times, plan=plan)


def _sample(bench: Bench, client: Connection, path: Callable[[int], str], raw: Callable[[int], list[Any]]) -> _Times:
    """One of each by turns, so that a neighbour on the machine disturbs both. The first ten warm everything up."""
    times = _Times([], [])
    for number in range(bench.plan.samples + 10):
        start = time.perf_counter()
        answer = client.request("GET", path(number))
        middle = time.perf_counter()
        found = raw(number)
        end = time.perf_counter()
        if answer.status != 200 or not found:
            raise SystemExit(f"{path(number)}: {answer.status} {answer.body[:200]!r}")
        if number >= 10:
            times.served.append(middle - start)
            times.raw.append(end - middle)
            times.size = len(answer.body)
    return times


def _figures(measure: str, case: str, times: _Times, **extra: Any) -> Iterator[Figure]:
    served, raw = milliseconds(times.served, 0.5), milliseconds(times.raw, 0.5)
    for contender, seconds, more in (
        ("homing", times.served, {"bytes": times.size, "of raw SQL": round(served / raw, 1), **extra}),
        ("raw", times.raw, {}),
    ):
        yield Figure(
            measure=measure,
            case=f"{case}, among {JOBS:,} jobs",
            contender=contender,
            unit="ms p50",
            better="lower",
            rounds=[milliseconds(seconds, 0.5)],
            extra={"p99 ms": milliseconds(seconds, 0.99), "samples": len(seconds), **more},
        )


def _initial_data(bench: Bench, client: Connection) -> Iterator[Figure]:
    """The whole of what the heavy user's phone fetches first, page after page."""
    taken, size, rounds = [], 0, bench.plan.rounds if bench.plan.rounds >= FULL.rounds else 3
    for _ in range(rounds):
        start = time.perf_counter()
        answer = client.request("GET", "/api/mobile/sync/initial-data")
        taken.append(time.perf_counter() - start)
        size = len(answer.body)
        if answer.status != 200:
            raise SystemExit(f"initial data: {answer.status} {answer.body[:200]!r}")
    held = msgspec.json.decode(answer.body)
    rows = {name: len(part) for name, part in held.items() if isinstance(part, list)}
    yield Figure(
        measure="market: initial data of a heavy user",
        case=f"{HEAVY['saved']:,} saved, {HEAVY['proposals']:,} proposals, {HEAVY['messages']:,} messages",
        contender="homing",
        unit="ms p50",
        better="lower",
        rounds=[milliseconds(taken, 0.5)],
        extra={"bytes": size, **rows},
    )
