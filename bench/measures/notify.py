"""Notifications through the queue of jobs: from the transaction that is their cause to what became of each, written
down.

This process is the worker. The carriers are a server of their own on this machine, which takes everything at once:
what is measured is Homing's share, not the internet's. Everybody has one device.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.figures import Figure
from bench.plan import FULL, Bench
from bench.server import free_port, running, uvicorn
from homing.jobs.worker import Worker
from homing.notify import Kind, notify
from homing.notify.webpush import write_public_key
from homing.server.tasks import NOTIFY
from homing.server.tenant import Tenant, open_tenant
from homing.settings import Settings

DATABASE = "bench_notify"
PEOPLE = 2_000
CAUSES = 200
KIND = Kind(name="bench", title="A new job", body="It matches you.", preference="jobMatches", ids=("job_id",))

ADD = """
WITH people AS (
    INSERT INTO homing.users (username, name, role)
    SELECT %(provider)s || '-' || n, 'Somebody', 'WORKER' FROM generate_series(1, %(people)s::integer) n
    RETURNING id
), sessions AS (
    INSERT INTO homing.sessions (user_id, expires_at) SELECT id, %(until)s FROM people RETURNING id, user_id
)
INSERT INTO homing.push_tokens (user_id, session_id, platform, provider, address, keys)
SELECT user_id, id, 'web', %(provider)s, replace(%(address)s, '*', id::text), %(keys)s::jsonb FROM sessions
RETURNING user_id
"""


def measure_notify(bench: Bench) -> Iterator[Figure]:
    """Each carrier's protocol, one cause for many people; and many causes of one each."""
    people = PEOPLE if bench.plan.rounds >= FULL.rounds else PEOPLE // 4
    port = free_port()
    command = uvicorn("bench.servers.carriers:application", port)
    with (
        running(command, port=port, environ={}, name="the carriers"),
        tempfile.TemporaryDirectory() as folder,
    ):
        settings = _settings(Path(folder), bench.cluster.create(DATABASE), f"http://127.0.0.1:{port}")
        yield from asyncio.run(_measure(bench, settings, people))


async def _measure(bench: Bench, settings: Settings, people: int) -> list[Figure]:
    url = settings.push_expo_url.removesuffix("/expo")
    found = []
    async with open_tenant(settings) as tenant:
        for provider, address in (("expo", "ExpoPushToken[*]"), ("fcm", "fcm:*"), ("webpush", f"{url}/browser/*")):
            users = _add(settings, provider, address, people)
            everybody, each = [], []
            cpu = 0.0
            for _ in range(bench.plan.rounds):
                bench.cluster.checkpoint()
                spent = time.process_time()
                everybody.append(await _round(tenant, [users]))
                cpu += time.process_time() - spent
                each.append(await _round(tenant, [[user] for user in users[:CAUSES]]))
            extra = {"CPU of the worker, ms each": round(cpu / bench.plan.rounds / people * 1000, 2)}
            found.append(_figure(provider, f"one cause, {people:,} people", everybody, extra))
            found.append(_figure(provider, f"{CAUSES} causes of one each", each, {}))
    return found


async def _round(tenant: Tenant, causes: list[list[UUID]]) -> float:
    """Notifications per second, from the first transaction's begin until all are settled."""
    count = sum(map(len, causes))
    began = time.perf_counter()
    for number, users in enumerate(causes):
        async with tenant.database.transaction() as conn:
            assert await notify(conn, KIND, user_ids=users, data={"job_id": number}) == len(users)
    await Worker(owner=tenant.engine.owner, tasks=[NOTIFY], context=tenant, clock=tenant.clock).drain()
    seconds = time.perf_counter() - began
    async with tenant.engine.owner.transaction() as conn:
        row = await (await conn.execute("SELECT count(*) FROM homing.push_deliveries WHERE status = 'sent'")).fetchone()
        await conn.execute("DELETE FROM homing.push_notifications")
    if row != (count,):
        raise SystemExit(f"{row} of {count} notifications were sent")
    return count / seconds


def _figure(provider: str, case: str, rates: list[float], extra: dict[str, Any]) -> Figure:
    return Figure(
        measure="notifications",
        case=f"{provider}, {case}",
        contender="homing",
        unit="notifications/s",
        better="higher",
        rounds=[round(rate, 1) for rate in rates],
        extra=extra,
    )


def _add(settings: Settings, provider: str, address: str, people: int) -> list[UUID]:
    keys = None
    if provider == "webpush":
        browser = ec.generate_private_key(ec.SECP256R1())
        keys = json.dumps({"p256dh": write_public_key(browser), "auth": "BTBZMqHH6r4Tts7J_aSIgg"})
    params = {
        "provider": provider,
        "people": people,
        "until": datetime.now(UTC) + timedelta(days=1),
        "address": address,
        "keys": keys,
    }
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        rows = conn.execute(ADD, params).fetchall()
        conn.execute("ANALYZE")
    return [row[0] for row in rows]


def _settings(folder: Path, database_url: str, url: str) -> Settings:
    account = {
        "project_id": "bench",
        "private_key": _pem(rsa.generate_private_key(65537, 2048)).decode(),
        "client_email": "bench@example.org",
        "token_uri": f"{url}/token",
    }
    (folder / "fcm.json").write_text(json.dumps(account))
    (folder / "vapid.pem").write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    return Settings(
        database_url=database_url,
        data_dir=folder,
        push_fcm_credentials=folder / "fcm.json",
        push_fcm_url=url,
        push_vapid_key=folder / "vapid.pem",
        push_vapid_contact="mailto:bench@example.org",
        push_expo=True,
        push_expo_url=f"{url}/expo",
        push_private_endpoints=True,
    )


def _pem(key: Any) -> bytes:
    found: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return found
