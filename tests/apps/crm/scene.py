"""What tests of the CRM do again and again, as a person would: by HTTP, and with real replicas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psycopg

from homing.apps.crm.rules import CHECKS
from homing.client import Client, Replica, Report
from tests.fixtures.accounts import PASSWORD, Person

API = "/api/v1"


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 201, 204), answer.text
    return answer.json() if answer.content else None


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()["code"]


def make_customer(owner: Person, name: str = "Ada Lovelace", address: str = "12 Elm Street", **more: Any) -> Any:
    return ok(owner.http.post(f"{API}/customers", json={"name": name, "address": address, **more}))


def make_job(owner: Person, *, title: str = "Kitchen", customer: Any = None, **more: Any) -> Any:
    customer = customer or make_customer(owner)
    return ok(owner.http.post(f"{API}/jobs", json={"title": title, "customer_id": customer["id"], **more}))


def make_material(person: Person, job: Any, item_name: str = "Nails", **more: Any) -> Any:
    return ok(person.http.post(f"{API}/jobs/{job['id']}/materials", json={"item_name": item_name, **more}))


def assign(owner: Person, job: Any, user: Person) -> Any:
    return ok(owner.http.put(f"{API}/jobs/{job['id']}/assignments/{user.id}"))


def unassign(owner: Person, job: Any, user: Person) -> None:
    ok(owner.http.delete(f"{API}/jobs/{job['id']}/assignments/{user.id}"))


def phone(path: Path, url: str, login: str) -> Client:
    """A replica with the CRM's rules, signed in and registered."""
    replica = Replica(path / f"{login}.db", checks=CHECKS)
    client = Client(replica, url, rng=Random(1), sleep=lambda _seconds: None)
    client.login(login, PASSWORD)
    client.register_device(device_type="phone", os_version="1", app_version="1.0.0")
    return client


Phones = Callable[[str], Client]


def synced(client: Client) -> Report:
    """A sync that proves the replica against the server's digests."""
    report = client.sync(verify=True)
    assert (report.ok, report.verified, report.repaired) == (True, True, []), report
    return report


def held(client: Client) -> dict[str, set[str]]:
    """Table → ids of what a phone holds."""
    types = ("customer", "job", "job_assignment", "material", "job_status_history", "job_activity")
    return {kind: {str(row["id"]) for row in client.replica.rows(kind)} for kind in types}


def query(url: str, statement: str, *params: Any) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(statement, params).fetchall()  # type: ignore[arg-type]
