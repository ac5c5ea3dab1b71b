"""Fifty phones, one token, two nodes, again and again: exactly one is enrolled each time."""

import asyncio
from collections.abc import Callable
from statistics import quantiles
from time import perf_counter
from uuid import uuid4

import httpx
import psycopg
import pytest

from homing.settings import Settings
from tests.fixtures.accounts import Person
from tests.fixtures.server import Server

ROUNDS = 1000
PHONES = 50


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_exactly_one_phone_a_race(
    server: Server, settings: Settings, owner: Person, servers: Callable[[Settings], Server]
) -> None:
    urls = [server.url, servers(settings).url]
    run = uuid4().hex[:6]
    won, seconds = [], []
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=PHONES)) as http:

        async def take(token: str, number: int, n: int) -> httpx.Response:
            name = f"race-{run}-{number}-{n}"
            body = {"device_id": name, "username": name}
            return await http.post(f"{urls[n % 2]}/api/v1/enrollments/{token}/complete", json=body)

        for number in range(ROUNDS):
            answer = await http.post(
                f"{server.url}/api/v1/enrollments",
                json={},
                headers={"authorization": owner.http.headers["authorization"]},
            )
            if answer.status_code == 401:
                owner.refresh()
                continue
            token = answer.json()["token"]
            began = perf_counter()
            answers = await asyncio.gather(*(take(token, number, n) for n in range(PHONES)))
            seconds.append(perf_counter() - began)
            winners = [answer.json()["user"]["username"] for answer in answers if answer.status_code == 201]
            assert len(winners) == 1
            assert [answer.status_code for answer in answers].count(410) == PHONES - 1
            won += winners
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        for table, column in (("users", "username"), ("mobile_devices", "device_id"), ("sessions", "device_id")):
            query = f"SELECT {column} FROM homing.{table} WHERE {column} LIKE %s"
            found = conn.execute(query, [f"race-{run}-%"]).fetchall()  # type: ignore[arg-type]
            assert sorted(name for (name,) in found) == sorted(won)
    cuts = quantiles(seconds, n=100)
    print(f"{len(won)} races of {PHONES} phones: p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms")
