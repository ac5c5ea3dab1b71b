"""``homing client`` refuses at once what the server would refuse: it runs the rules of the applications installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homing.client import Client
from homing.settings import Settings
from tests.apps.crm.scene import API, make_job, make_material, ok
from tests.fixtures.accounts import PASSWORD, Person
from tests.fixtures.server import Server
from tests.fixtures.shell import Shell

WRONG = [
    ("job", {"status": "COMPLETED"}),
    ("job", {"status": "LOST"}),
    ("job", {"end_date": "2026-04-30"}),
    ("job", {"title": " "}),
    ("material", {"quantity": "0"}),
    ("material", {"quantity": "0.004"}),
    ("material", {"item_name": " "}),
]


@pytest.fixture(params=[("crm", "fieldwork"), ("crm", "marketplace")], ids=["job", "crm.job"])
def settings(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Settings:
    """Alone with its jobs, and beside an application that has jobs too, with other rules."""
    return Settings(database_url=database_url, data_dir=tmp_path / "server", pool_size=4, apps=request.param)


def test_the_shell_says_what_the_server_would_say(
    shell: Shell, server: Server, settings: Settings, owner: Person, tmp_path: Path
) -> None:
    job = make_job(owner, start_date="2026-05-01")
    nails = make_material(owner, job)
    prefix = "crm." if "marketplace" in settings.apps else ""
    ids = {"job": job["id"], "material": nails["id"]}

    shell("init", server.url)
    shell("login", "olga@example.org", "--password", PASSWORD)
    assert shell("sync")["ok"] is True
    kinds = {kind: f"{prefix}job" if kind == "job" else kind for kind in ids}
    said = [shell("update", kinds[kind], ids[kind], json.dumps(fields), fails=True) for kind, fields in WRONG]
    assert shell("status")["waiting"] == 0

    file = tmp_path / "replica.db"
    assert said == [refusal_of_server(file, kinds[kind], ids[kind], fields) for kind, fields in WRONG]

    # Who purchased and when are the server's to fill in.
    ada = json.dumps({"purchased": True, "purchased_by_id": str(owner.id)})
    assert shell("update", "material", nails["id"], ada, fails=True)["error"] == "read_only_column"
    # A new row, the other application's jobs, and a retry go by the rules too.
    beam = {"job_id": job["id"], "item_name": "Beam", "quantity": "-1"}
    assert shell("create", "material", json.dumps(beam), fails=True)["error"] == "check_failed"
    made = shell("create", "material", json.dumps({**beam, "quantity": "2"}))["id"]
    assert shell("retry", made, '{"quantity": "0"}', fails=True)["error"] == "state_conflict"
    assert shell("sync", "--verify")["pushed"]["applied"] == 1
    shell("update", kinds["job"], job["id"], '{"status": "IN_PROGRESS"}')
    assert shell("push")["pushed"]["applied"] == 1
    assert ok(owner.http.get(f"{API}/crm/jobs/{job['id']}"))["status"] == "IN_PROGRESS"


def refusal_of_server(replica: Path, resource_type: str, row_id: str, fields: dict[str, Any]) -> dict[str, str]:
    """What becomes of the same edit where no rule stops it: it travels, and is refused."""
    with Client(replica) as client:
        op = client.replica.update(resource_type, row_id, **fields)
        assert op is not None
        assert client.push().pushed.refused == 1
        (verdict,) = client.replica.refused()
        client.replica.discard(op)
        return {"error": verdict.code, "detail": verdict.error}
