"""Operations by HTTP: accepted at once, applied by the server's jobs, seen by whoever asked."""

import csv
import io
from pathlib import Path
from typing import Any

import anyio
import pytest

from homing.apps.crm.imports import ROWS_AT_ONCE
from homing.apps.crm.jobs import OPERATIONS
from homing.jobs.worker import Worker
from homing.server.tenant import open_tenant
from homing.settings import Settings
from tests.fixtures.accounts import Person

OPERATIONS_AT = "/api/v1/operations"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=("crm",))


def work(settings: Settings) -> None:
    """What the server's worker does beside the requests."""

    async def drain() -> None:
        async with open_tenant(settings, migrating=False) as tenant:
            await Worker(owner=tenant.engine.owner, tasks=[OPERATIONS], context=tenant, clock=tenant.clock).drain()

    anyio.run(drain)


def told(person: Person, query: str = "") -> list[tuple[str, str, Any]]:
    items = person.http.get(f"{OPERATIONS_AT}{query}").json()["items"]
    return [(each["id"], each["status"], (each["error"] or "").partition(":")[0]) for each in items]


def customer(name: str) -> dict[str, Any]:
    return {"operation": "create", "entity_type": "customer", "payload": {"name": name, "address": "Dam 1"}}


def test_operations_are_accepted_and_then_applied(owner: Person, worker: Person, settings: Settings) -> None:
    asked = owner.http.post(OPERATIONS_AT, json={"operations": [customer("A"), customer("")]})
    assert asked.status_code == 202
    first, second = asked.json()["ids"]
    assert told(owner) == [(second, "pending", ""), (first, "pending", "")]
    (his,) = worker.http.post(OPERATIONS_AT, json={"operations": [customer("B")]}).json()["ids"]
    work(settings)
    assert told(owner) == [(his, "failed", "forbidden"), (second, "failed", "check_failed"), (first, "completed", "")]
    assert told(owner, "?status=completed") == [(first, "completed", "")]
    assert told(worker) == [(his, "failed", "forbidden")]
    page = owner.http.get(f"{OPERATIONS_AT}?limit=2").json()
    rest = owner.http.get(OPERATIONS_AT, params={"after": page["next"]}).json()
    assert [each["id"] for each in page["items"] + rest["items"]] == [his, second, first]
    assert [each["name"] for each in owner.http.get("/api/v1/customers").json()["items"]] == ["A"]
    assert worker.http.post(f"{OPERATIONS_AT}/{his}/retry").status_code == 403
    assert owner.http.post(f"{OPERATIONS_AT}/{first}/retry").json()["code"] == "state_conflict"
    assert owner.http.post(f"{OPERATIONS_AT}/{second}/retry").status_code == 204
    assert told(owner, "?status=pending") == [(second, "pending", "")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"operations": []},
        {"operations": [customer("A")] * 10_001},
        {"operations": [{**customer("A"), "operation": "merge"}]},
        {"operations": [{**customer("A"), "entity_id": "A"}]},
        {"operations": [{**customer("A"), "payload": []}]},
        {"operations": [{**customer("A"), "entity_type": "x" * 51}]},
    ],
)
def test_what_is_no_operation_is_refused_whole(owner: Person, wrong: dict[str, Any]) -> None:
    answer = owner.http.post(OPERATIONS_AT, json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_envelope")
    assert told(owner) == []


def test_a_long_import_is_checked_at_once_and_made_by_operations(owner: Person, settings: Settings) -> None:
    lines = [f"Customer {n},555-{n:04},{n} Elm Street" for n in range(ROWS_AT_ONCE + 1)]
    text = "\n".join(["name,phone,address", *lines])
    asked = {"rows": len(lines), "imported": 0, "queued": 0, "errors": [], "dry_run": True}
    preview = owner.http.post("/api/v1/customers/import", json={"csv": text, "dry_run": True})
    assert (preview.status_code, preview.json()) == (200, asked)
    assert told(owner) == []
    wrong = owner.http.post("/api/v1/customers/import", json={"csv": f"{text}\nNobody,,"}).json()
    assert (wrong["queued"], wrong["errors"]) == (
        0,
        [{"line": len(lines) + 2, "column": "address", "error": "it is empty"}],
    )
    assert told(owner) == []
    answer = owner.http.post("/api/v1/customers/import", json={"csv": text})
    assert (answer.status_code, answer.json()) == (200, {**asked, "queued": len(lines), "dry_run": False})
    assert [status for _, status, _ in told(owner, "?status=pending&limit=2")] == ["pending", "pending"]
    again = owner.http.post("/api/v1/customers/import", json={"csv": text}).json()
    assert (again["queued"], again["errors"][0]["error"]) == (0, "there is a customer with this name and address")
    work(settings)
    assert told(owner, "?status=pending") == told(owner, "?status=failed") == []
    made = list(csv.reader(io.StringIO(owner.http.get("/api/v1/customers/export.csv").text, newline="")))
    assert sorted((name, phone, address) for name, phone, _, address, _ in made[1:]) == sorted(
        (f"Customer {n}", f"555-{n:04}", f"{n} Elm Street") for n in range(len(lines))
    )
