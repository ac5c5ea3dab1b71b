"""Enrolment under pressure: races have one winner, guesses are slowed down, secrets stay secret, old tokens go."""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from homing.accounts import enrolment
from homing.accounts.rates import ENROLMENT
from homing.postgres.database import Database
from homing.protocol.rates import Rate
from homing.settings import Settings
from tests.accounts.enrolling import ENROLLMENTS, GONE, code, complete, details, made, other_secret, rows, state
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server, serving


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def race(servers: list[Server], token: str, phones: int) -> list[tuple[str, httpx.Response]]:
    """All at once, on all servers in turn."""
    barrier = threading.Barrier(phones)
    run = uuid4().hex[:6]

    def take(n: int) -> tuple[str, httpx.Response]:
        name = f"r-{run}-{n}"
        barrier.wait()
        return name, complete(servers[n % len(servers)], token, device_id=name, username=name)

    with ThreadPoolExecutor(phones) as pool:
        return list(pool.map(take, range(phones)))


def test_of_fifty_phones_at_two_nodes_exactly_one_is_enrolled(
    server: Server, settings: Settings, owner: Person, servers: Callable[[Settings], Server]
) -> None:
    nodes = [server, servers(settings)]
    for _ in range(3):
        token = made(owner)
        answers = race(nodes, token["token"], 50)
        won = [name for name, answer in answers if answer.status_code == 201]
        lost = [answer for name, answer in answers if name not in won]
        assert len(won) == 1
        assert [answer.json() for answer in lost] == [GONE] * 49
        prefix = won[0].rpartition("-")[0] + "-%"
        assert rows(settings, "SELECT username, device_id FROM homing.users WHERE username LIKE %s", prefix) == [
            (won[0], won[0])
        ]
        assert rows(settings, "SELECT device_id FROM homing.mobile_devices WHERE device_id LIKE %s", prefix) == [
            (won[0],)
        ]
        assert rows(settings, "SELECT device_id FROM homing.sessions WHERE device_id LIKE %s", prefix) == [(won[0],)]


def test_one_impatient_phone_that_asks_ten_times_at_once_is_enrolled_once(
    server: Server, settings: Settings, owner: Person
) -> None:
    token = made(owner)
    body = {"device_id": "hasty", "username": "hasty"}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: complete(server, token["token"], **body), range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert rows(settings, "SELECT count(*) FROM homing.sessions WHERE device_id = 'hasty'") == [(1,)]


def test_a_cancel_and_a_phone_at_once_end_one_way_or_the_other(server: Server, owner: Person) -> None:
    outcomes = set()
    for _ in range(8):
        token = made(owner)
        barrier = threading.Barrier(2)

        def cancel(token: dict[str, Any] = token, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return owner.http.delete(f"{ENROLLMENTS}/{token['id']}").status_code

        def take(token: dict[str, Any] = token, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return complete(server, token["token"]).status_code

        with ThreadPoolExecutor(2) as pool:
            cancelled, taken = pool.submit(cancel), pool.submit(take)
            outcomes.add((cancelled.result(), taken.result(), state(owner, token)))
    assert outcomes <= {(204, 410, "cancelled"), (409, 201, "used")}


def test_a_maker_may_have_only_so_many_waiting(new_person: SignIn) -> None:
    maker = new_person("much", role="OWNER")
    for _ in range(5):
        assert maker.http.post(f"{ENROLLMENTS}/sheet", json={"people": [{}] * 200}).status_code == 201
    answer = maker.http.post(ENROLLMENTS, json={})
    assert (*code(answer), answer.json()["limit"], answer.headers["retry-after"]) == (429, "rate_limited", 1000, "60")


def test_guessing_is_slowed_down_and_losing_a_race_is_not_guessing(server: Server, owner: Person) -> None:
    kept = server.tenant.rates.rates
    server.tenant.rates.rates = {**kept, ENROLMENT: Rate(5, 600)}
    try:
        token = made(owner)
        complete(server, token["token"])
        for _ in range(10):
            assert complete(server, token["token"]).status_code == 410
        for _ in range(5):
            assert complete(server, token["handle"], secret=other_secret(token)).status_code == 410
        answer = details(server, token["handle"])
        assert (*code(answer), "retry-after" in answer.headers) == (429, "rate_limited", True)
    finally:
        server.tenant.rates.rates = kept


def test_a_secret_is_in_no_log_and_nowhere_in_the_database(
    server: Server, settings: Settings, owner: Person, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        token, cancelled = made(owner), made(owner)
        details(server, token["token"])
        complete(server, token["handle"], secret=other_secret(token))
        body = {"device_id": "quiet", "username": "quiet", "nonce": "nonce-of-the-phone"}
        taken = complete(server, token["token"], **body).json()
        complete(server, token["token"], **body)
        owner.http.get(cancelled["qr_svg_url"])
        owner.http.delete(f"{ENROLLMENTS}/{cancelled['id']}")
    said = [record.getMessage() for record in caplog.records if record.name == "homing.enrolment"]
    assert [line.partition(" until")[0] for line in said] == [
        f"enrolment {token['id']} made by {owner.id} for role WORKER",
        f"enrolment {cancelled['id']} made by {owner.id} for role WORKER",
        f"enrolment {token['id']} taken by device 'quiet' as user {taken['user']['id']}, role WORKER",
        f"enrolment {cancelled['id']} cancelled by {owner.id}",
    ]
    # What the client of the test says of itself is not the server's log.
    logged = "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith("http"))
    kept = dump(settings)
    assert token["handle"] in kept
    assert hashlib.sha256(token["secret"].encode()).hexdigest() in kept
    for secret in (token["secret"], cancelled["secret"], taken["refresh_token"], taken["access_token"]):
        assert secret not in kept
        assert secret not in logged
        assert secret.encode().hex() not in kept
    assert cancelled["manual_code"] not in logged + kept


def dump(settings: Settings) -> str:
    """Every row of every table, as text."""
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        tables = conn.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^pg_|^inform'"
        ).fetchall()
        found = []
        for schema, table in tables:
            copy = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(schema, table))
            with conn.cursor().copy(copy) as lines:
                found += [bytes(line).decode() for line in lines]
    return "".join(found)


async def test_a_daily_round_reports_forgets_and_deletes(
    server: Server, settings: Settings, owner: Person, caplog: pytest.LogCaptureFixture
) -> None:
    expired, used, old, old_used = (made(owner) for _ in range(4))
    complete(server, used["token"])
    complete(server, old_used["token"])
    rows(
        settings,
        "DELETE FROM homing.enrollment_tokens WHERE used_at IS NULL AND id <> ALL (%s::uuid[])",
        [expired["id"], old["id"]],
    )
    for tokens, days in ((("expired", expired), ("used", used)), 0), ((("old", old), ("old used", old_used)), 91):
        for _, token in tokens:
            rows(
                settings,
                "UPDATE homing.enrollment_tokens SET expires_at = now() - make_interval(days => %s) WHERE id = %s",
                days,
                token["id"],
            )
    assert settings.database_url is not None
    database = Database(settings.database_url, pool_size=1)
    await database.open()
    try:
        with caplog.at_level(logging.INFO):
            done = await enrolment.clean(database, now=datetime.now(UTC))
            again = await enrolment.clean(database, now=datetime.now(UTC))
    finally:
        await database.close()
    assert (done, again) == (enrolment.Round(expired=2, deleted=1), enrolment.Round(expired=0, deleted=0))
    reported = [record.getMessage() for record in caplog.records if "expired unused" in record.getMessage()]
    assert sorted(line.split()[1] for line in reported) == sorted([expired["id"], old["id"]])
    ids = [token["id"] for token in (expired, used, old, old_used)]
    assert rows(
        settings,
        "SELECT id::text, secret_hash, redeemer_hash, reported_at IS NOT NULL FROM homing.enrollment_tokens"
        " WHERE id = ANY (%s::uuid[]) ORDER BY array_position(%s::uuid[], id)",
        ids,
        ids,
    ) == [(expired["id"], None, None, True), (used["id"], None, None, False), (old_used["id"], None, None, False)]
