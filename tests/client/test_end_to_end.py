"""The client against the real server: fieldwork, over HTTP, on PostgreSQL."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from homing.client import AsyncClient, Client, Report
from homing.client.drivers import TIMEOUT
from homing.client.store import Session
from tests.apps.fieldwork.scene import make_meter, make_team, ok, publish_form
from tests.fixtures.accounts import PASSWORD, Person, create_user
from tests.fixtures.server import Server

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(2_500_000)

SCOPE = """
SELECT 'submission', id::text, version FROM fieldwork.submissions s
WHERE s.author_id = %(user)s
   OR s.team_id IN (SELECT team_id FROM fieldwork.team_members WHERE user_id = %(user)s)
UNION ALL
SELECT 'meter', id::text, version FROM fieldwork.meters m
WHERE m.team_id IN (SELECT team_id FROM fieldwork.team_members WHERE user_id = %(user)s)
"""


@dataclass
class Field:
    """A worker's device on the real server."""

    client: Client
    user_id: str
    login: str

    @property
    def replica(self) -> Any:
        return self.client.replica

    def sync(self) -> Report:
        report = self.client.sync(verify=True)
        assert (report.ok, report.verified, report.repaired) == (True, True, []), report
        return report


@pytest.fixture
def field(settings: Any, server: Server, tmp_path: Path) -> Iterator[Callable[..., Field]]:
    """Makes workers with devices: ``field("wim")``."""
    clients: list[Client] = []

    def made(login: str, *, http: httpx.Client | None = None) -> Field:
        user_id = create_user(settings.database_url, login, "WORKER")
        client = Client(
            tmp_path / f"{login}.db", server.url, http=http, rng=Random(1), sleep=lambda _seconds: None
        )  # fmt: skip
        clients.append(client)
        client.login(login, PASSWORD)
        client.register_device(device_type="tablet", os_version="1", app_version="1.0.0")
        return Field(client, str(user_id), login)

    yield made
    for client in clients:
        client.close()


def scope(database_url: str, user_id: str) -> set[tuple[str, str, int]]:
    """What the database says this user holds, in one snapshot."""
    with psycopg.connect(database_url) as conn:
        return set(conn.execute(SCOPE, {"user": user_id}).fetchall())


def held(field: Field) -> set[tuple[str, str, int]]:
    return {(name, row["id"], row["_version"]) for name in ("submission", "meter") for row in field.replica.rows(name)}


def person(field: Field) -> Person:
    """As the routes' scene wants it."""
    return Person(user={"id": field.user_id}, tokens={}, http=httpx.Client())


def test_a_day_in_the_field(field: Callable[..., Field], owner: Person, settings: Any, tmp_path: Path) -> None:
    ana, ben = field("ana"), field("ben")
    publish_form(owner)
    team = make_team(owner, "Biscoe", person(ana), person(ben))
    meter = make_meter(owner, team_id=team)
    for each in (ana, ben):
        each.sync()
    assert ana.replica.rows("meter") == ben.replica.rows("meter")
    assert [row["code"] for row in ana.replica.rows("mobile_form")] == ["penguins"]

    # Without a line: a new row, chained edits of it, a photo of it, and an edit of a row that is there.
    tmp = ana.replica.create(
        "submission", {"form_id": "penguins", "form_version": "v1", "data": {"species": "Adelie", "mass": 3700}}
    )
    ana.replica.update("submission", tmp, metadata={"step": 1})
    ana.replica.update("submission", tmp, metadata={"step": 2})
    photo = tmp_path / "penguin.png"
    photo.write_bytes(PNG)
    ana.replica.attach("submission", tmp, "media", photo, "image/png", gps={"lat": -64.8, "lon": -64.1})
    ana.replica.update("meter", meter["id"], reading=51)
    assert ana.replica.get("meter", meter["id"])["reading"] == 51

    report = ana.sync()
    assert (report.pushed.applied, report.pushed.conflicts, report.pushed.refused, report.uploaded) == (4, 0, 0, 1)
    ben.sync()
    for each in (ana, ben):
        assert held(each) == scope(settings.database_url, each.user_id)
        assert each.replica.check() == []
        (row,) = each.replica.rows("submission")
        assert row["metadata"] == '{"step": 2}'
        assert row["team_id"] == team
        (media,) = each.replica.rows("submission_media")
        assert (media["submission_id"], media["filename"], media["size_bytes"]) == (row["id"], "penguin.png", len(PNG))
    assert ana.replica.resolve(tmp) == row["id"]


def test_two_people_and_one_meter(field: Callable[..., Field], owner: Person, settings: Any) -> None:
    ana, ben = field("ana"), field("ben")
    team = make_team(owner, "Biscoe", person(ana), person(ben))
    meter = make_meter(owner, team_id=team)["id"]
    ana.sync()
    ben.sync()

    # Different fields merge.
    ana.replica.update("meter", meter, reading=60)
    ben.replica.update("meter", meter, tags=["leaks"])
    ana.sync()
    assert ben.sync().pushed.merged == 1
    ana.sync()
    assert ana.replica.get("meter", meter) == ben.replica.get("meter", meter)

    # The same field is a conflict; the office decides for Ben, and both get it.
    ana.replica.update("meter", meter, reading=61)
    ben.replica.update("meter", meter, reading=62)
    ana.sync()
    assert ben.sync().pushed.conflicts == 1
    (conflict,) = ben.replica.conflicts()
    assert (conflict.code, conflict.payload["reading"]) == ("version_conflict", 62)
    assert ben.replica.get("meter", meter)["reading"] == 61
    resolve = f"/api/v1/mobile/conflicts/{conflict.conflict_id}/resolve"
    ok(owner.http.post(resolve, json={"resolution": "accept_client"}))
    for each in (ana, ben):
        each.sync()
        assert each.replica.get("meter", meter)["reading"] == 62
        assert held(each) == scope(settings.database_url, each.user_id)


def test_a_refused_edit_is_seen_changed_and_sent_again(field: Callable[..., Field], owner: Person) -> None:
    ana = field("ana")
    publish_form(owner)
    make_team(owner, "Biscoe", person(ana))
    ana.sync()
    good = {"form_id": "penguins", "form_version": "v1", "data": {"species": "Gentoo"}}
    ana.replica.create("submission", good)
    bad = ana.replica.create("submission", {**good, "data": {"species": "Emperor"}})
    ana.replica.update("submission", bad, metadata={"waits": True})
    report = ana.sync()
    assert (report.pushed.applied, report.pushed.refused, ana.replica.status().waiting) == (1, 1, 1)
    assert len(ana.replica.rows("submission")) == 1
    (refused,) = ana.replica.refused()
    assert (refused.op, refused.code) == (bad, "invalid_value")
    assert "species" in refused.error
    ana.replica.retry(bad, {**good, "data": {"species": "Chinstrap"}})
    assert ana.sync().pushed.applied == 2
    assert sorted(row["data"] for row in ana.replica.rows("submission")) == [
        '{"species": "Chinstrap"}',
        '{"species": "Gentoo"}',
    ]


def test_rows_that_left_the_scope_leave_no_trace_on_the_device(
    field: Callable[..., Field], owner: Person, settings: Any
) -> None:
    ana = field("ana")
    team = make_team(owner, "Biscoe", person(ana))
    make_meter(owner, team_id=team, notes="the-secret-of-Biscoe " * 200)
    ana.sync()
    assert b"the-secret-of-Biscoe" in raw(ana)
    ok(owner.http.delete(f"/api/v1/teams/{team}/members/{ana.user_id}"), 204)
    assert ana.sync().pulled.removed == 2
    assert held(ana) == scope(settings.database_url, ana.user_id) == set()
    assert b"the-secret-of-Biscoe" not in raw(ana)


def raw(field: Field) -> bytes:
    path = field.replica.store.path
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if file.is_file())


def test_a_revoked_device_keeps_nothing(field: Callable[..., Field], owner: Person, tmp_path: Path) -> None:
    ana = field("ana")
    publish_form(owner)
    make_team(owner, "Biscoe", person(ana))
    ana.sync()
    (device,) = ok(owner.http.get("/api/v1/mobile/devices"))["items"]
    ok(owner.http.patch(f"/api/v1/mobile/devices/{device['id']}", json={"status": "suspended", "reason": "lost?"}))
    report = ana.client.sync()
    assert (report.action, report.code) == ("stop", "device_suspended")
    assert len(ana.replica.rows("mobile_form")) == 1
    ok(owner.http.patch(f"/api/v1/mobile/devices/{device['id']}", json={"status": "revoked", "reason": "lost"}))
    report = ana.client.sync()
    assert (report.action, report.code) == ("wipe", "device_revoked")
    assert list(tmp_path.glob("ana.db*")) == []


def test_an_expired_session_is_renewed_on_the_way(field: Callable[..., Field], owner: Person) -> None:
    ana = field("ana")
    make_team(owner, "Biscoe", person(ana))
    session = ana.replica.store.session()
    ana.replica.store.set_session(Session("expired", session.refresh_token))
    ana.sync()
    assert ana.replica.store.session().refresh_token != session.refresh_token
    ana.client.logout()
    assert ana.client.sync().action == "login"


class Lossy(httpx.BaseTransport):
    """A real line that loses requests and, after the server has done its work, answers."""

    def __init__(self, seed: int, *, lost: float) -> None:
        self.line = httpx.HTTPTransport()
        self.rng = Random(seed)
        self.lost = lost
        self.cuts = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._maybe_cut("request")
        response = self.line.handle_request(request)
        try:
            self._maybe_cut("answer")
        except httpx.ReadError:
            response.read()
            response.close()
            raise
        return response

    def _maybe_cut(self, what: str) -> None:
        if self.rng.random() < self.lost:
            self.cuts += 1
            raise httpx.ReadError(f"the {what} was lost")

    def close(self) -> None:
        self.line.close()


def test_a_bad_line_loses_nothing_and_doubles_nothing(
    field: Callable[..., Field], owner: Person, settings: Any, tmp_path: Path
) -> None:
    line = Lossy(7, lost=0.0)
    ana = field("ana", http=httpx.Client(transport=line, timeout=TIMEOUT))
    publish_form(owner)
    team = make_team(owner, "Biscoe", person(ana))
    meters = [make_meter(owner, code=f"m-{number}", team_id=team)["id"] for number in range(10)]
    ana.sync()
    line.lost = 0.3
    photo = tmp_path / "p.png"
    photo.write_bytes(PNG[:200_000])
    rng = Random(3)
    made = 0
    for _ in range(12):
        for _ in range(8):
            made += 1
            tmp = ana.replica.create(
                "submission",
                {"form_id": "penguins", "form_version": "v1", "data": {"species": "Gentoo", "comment": f"n{made}"}},
            )
            if rng.random() < 0.1:
                ana.replica.attach("submission", tmp, "media", photo, "image/png")
            ana.replica.update("meter", rng.choice(meters), reading=made)
        ana.client.sync()
    line.lost = 0.0
    ana.sync()
    assert line.cuts >= 15
    assert ana.replica.status().waiting == 0
    assert ana.replica.refused() == ana.replica.conflicts() == []
    assert held(ana) == scope(settings.database_url, ana.user_id)
    comments = [row["comment"] for row in ana.replica.query("SELECT data ->> 'comment' AS comment FROM submissions")]
    assert sorted(comments) == sorted(f"n{number}" for number in range(1, made + 1))
    with psycopg.connect(settings.database_url) as conn:
        (updates,) = conn.execute("SELECT sum(version - 1) FROM fieldwork.meters").fetchone() or (None,)
    assert updates == made


def test_a_new_epoch_keeps_the_outbox(field: Callable[..., Field], owner: Person, settings: Any) -> None:
    ana = field("ana")
    publish_form(owner)
    team = make_team(owner, "Biscoe", person(ana))
    meter = make_meter(owner, team_id=team)["id"]
    ana.sync()
    ana.replica.update("meter", meter, reading=99)
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("TRUNCATE fieldwork.submissions CASCADE")
    report = ana.sync()
    assert (report.pulled.resyncs, report.pushed.applied) == (1, 1)
    assert ana.replica.get("meter", meter)["reading"] == 99
    assert held(ana) == scope(settings.database_url, ana.user_id)


def test_damage_on_the_device_is_found_by_digest_and_repaired(field: Callable[..., Field], owner: Person) -> None:
    ana = field("ana")
    team = make_team(owner, "Biscoe", person(ana))
    for number in range(5):
        make_meter(owner, code=f"m-{number}", team_id=team)
    ana.sync()
    before = ana.replica.rows("meter")
    ana.replica.store.connection.execute("UPDATE _base SET payload = replace(payload, 'm-3', 'm-9')")
    ana.replica.store.connection.execute("DELETE FROM meters WHERE code = 'm-1'")
    assert len(ana.replica.repair()) == 2
    report = ana.client.sync(verify=True)
    assert (report.ok, report.verified, report.repaired) == (True, True, ["meter"])
    assert ana.replica.rows("meter") == before


def test_asyncio_runs_the_same_flows(settings: Any, server: Server, owner: Person, tmp_path: Path) -> None:
    user_id = create_user(settings.database_url, "ana", "WORKER")
    team = make_team(owner, "Biscoe", Person(user={"id": str(user_id)}, tokens={}, http=httpx.Client()))
    meter = make_meter(owner, team_id=team)["id"]

    async def day() -> list[Report]:
        async with AsyncClient(tmp_path / "ana.db", server.url) as client:
            await client.login("ana", PASSWORD)
            await client.register_device(device_type="phone", os_version="1", app_version="1")
            first = await client.sync()
            client.replica.update("meter", meter, reading=7)
            photo = tmp_path / "p.png"
            photo.write_bytes(os.urandom(10))
            return [first, await client.sync(verify=True)]

    first, second = anyio.run(day)
    assert (first.ok, second.ok, second.verified, second.pushed.applied) == (True, True, True, 1)
