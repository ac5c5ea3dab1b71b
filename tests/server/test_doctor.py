"""The doctor: a healthy server has nothing to do, and each illness that can be made here is found, with what to do."""

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.apps.fieldwork.scene import ok, problem
from tests.fixtures.accounts import Person

CHECKS = [
    "postgresql",
    "durability",
    "connections",
    "open transactions",
    "replication",
    "clock",
    "migrations",
    "extensions",
    "epoch",
    "table sizes",
    "indexes",
    "statements",
    "unused indexes",
    "bloat",
    "archive",
    "jobs",
    "quarantine",
    "conflicts",
    "device syncs",
    "enrolments",
    "office",
    "partitions",
    "media store",
    "disk",
    "settings",
]


@pytest.fixture
def settings(settings):
    return type(settings)(**{name: getattr(settings, name) for name in settings.__struct_fields__} | {"apps": APPS})


APPS = ("fieldwork", "messaging")


def verbose(owner: Person) -> dict:
    found: dict = ok(owner.http.get("/health/ready?verbose"))
    return found


def findings(answer: dict) -> dict[str, tuple[str, str]]:
    return {each["check"]: (each["state"], each["found"]) for each in answer["findings"]}


def test_a_server_tells_the_office_how_it_is(owner, worker, http) -> None:
    assert ok(http.get("/health/ready")) == {"status": "ok"}
    problem(http.get("/health/ready?verbose"), 401, "unauthenticated")
    problem(worker.http.get("/health/ready?verbose=1"), 403, "forbidden")
    answer = verbose(owner)
    seen = findings(answer)
    assert list(seen) == CHECKS
    # The tests' own cluster is made quick at the price of durability, and that is what is found.
    assert seen["durability"] == ("fail", "fsync off, full_page_writes off, synchronous_commit on")
    assert {check for check, (state, _) in seen.items() if state == "fail"} == {"durability"}
    assert (answer["user_count"], answer["message_count"], answer["pending_sync_count"], answer["sync_errors"]) == (
        2,
        0,
        0,
        0,
    )


def test_messages_and_devices_are_counted(owner, worker) -> None:
    for n in range(3):
        ok(owner.http.post("/api/v1/messages", json={"recipient_id": worker.id, "content": str(n)}), 201)
    ok(owner.http.post("/api/v1/messages", json={"recipient_id": owner.id, "content": "note"}), 201)
    problem(worker.http.post("/api/v1/mobile/sync/pull", json={"since_token": "x"}), 400, "invalid_token")
    answer = verbose(owner)
    assert (answer["message_count"], answer["pending_sync_count"], answer["sync_errors"]) == (4, 3, 1)
    assert findings(answer)["device syncs"] == ("warn", "1 sync errors, 0 stuck syncs")


def test_illnesses_are_found(owner, settings) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("UPDATE homing.epoch SET system_identifier = 1")
        conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'fieldwork.meters_team'::regclass")
        conn.execute("UPDATE homing_migrations SET checksum = 'x' WHERE set = 'messaging' AND version = 1")
        name = conn.execute("SELECT 'history_' || to_char(now() + interval '1 month', 'YYYYMM')").fetchone()
        assert name is not None
        conn.execute(psycopg.sql.SQL("DROP TABLE homing.{}").format(psycopg.sql.Identifier(name[0])))
        conn.execute(
            "INSERT INTO homing.enrollment_tokens (created_by, tenant_id, expires_at, role, server_key)"
            " SELECT %s, 'default', now() - interval '1 hour', 'WORKER', 'x' FROM generate_series(1, 101)",
            [owner.id],
        )
        seen = findings(verbose(owner))
    assert {check: seen[check][0] for check in ("epoch", "indexes", "migrations", "partitions", "enrolments")} == {
        "epoch": "fail",
        "indexes": "fail",
        "migrations": "fail",
        "partitions": "fail",
        "enrolments": "warn",
    }
    assert "fieldwork.meters_team" in seen["indexes"][1]
    assert seen["migrations"][1] == "messaging 0001 messaging is changed"


def doctor(settings, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from homing.cli import main; main()", "doctor", "--json", *more]
    source = str(Path(__file__).parents[2] / "src")
    environment = {"HOMING_DATABASE_URL": settings.database_url, "HOMING_APPS": ",".join(APPS), "PYTHONPATH": source}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_the_command_says_the_same_and_exits_by_it(owner, settings) -> None:
    ran = doctor(settings)
    said = json.loads(ran.stdout)
    assert (ran.returncode, said["state"], [each["check"] for each in said["findings"]]) == (1, "fail", CHECKS)
    assert said["counts"] == {"user_count": 1, "sync_errors": 0, "message_count": 0, "pending_sync_count": 0}


def test_a_database_that_is_no_server_s_is_said_to_be_none(new_database, settings) -> None:
    ran = doctor(type(settings)(database_url=new_database()))
    said = json.loads(ran.stdout)
    assert (ran.returncode, [(each["check"], each["state"]) for each in said["findings"]]) == (1, [("start", "fail")])
