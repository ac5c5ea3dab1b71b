"""``homing client`` from a shell, against the real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.apps.fieldwork.scene import make_meter, make_team, publish_form
from tests.fixtures.accounts import PASSWORD, Person, create_user
from tests.fixtures.server import Server
from tests.fixtures.shell import Shell


def test_a_day_in_the_shell(shell: Shell, server: Server, owner: Person, settings: Any, tmp_path: Path) -> None:
    user_id = str(create_user(settings.database_url, "ana", "WORKER"))
    team = make_team(owner, "Biscoe", Person(user={"id": user_id}, tokens={}, http=httpx.Client()))
    publish_form(owner)
    meter = make_meter(owner, team_id=team)["id"]

    assert shell("init", server.url)["complete"] is False
    assert shell("sync", fails=True)["action"] == "login"
    assert shell("login", "ana", stdin="wrong\n", fails=True)["error"] == "invalid_credentials"
    signed_in = shell("login", "ana", stdin=f"{PASSWORD}\n")
    assert signed_in["user"]["id"] == user_id
    assert {"submission", "meter"} <= set(signed_in["tables"])
    assert shell("pull")["pulled"]["rows"] >= 3

    payload = {"form_id": "penguins", "form_version": "v1", "data": {"species": "Adelie"}}
    tmp = shell("create", "submission", json.dumps(payload))["id"]
    (tmp_path / "payload.json").write_text('{"metadata": {"from": "a file"}}')
    shell("update", "submission", tmp, "@payload.json")
    shell("update", "meter", meter, "-", stdin='{"reading": 77}')
    assert shell("update", "meter", meter, '{"reading": 77}') == {"op": None}
    (tmp_path / "note.txt").write_text("a note")
    shell("attach", "submission", tmp, "note.txt", "--content-type", "text/plain")
    assert shell("status")["waiting"] == 3
    assert [row["reading"] for row in shell("list", "meter", "--where", "reading > 70")] == [77]

    report = shell("sync", "--verify")
    assert (report["ok"], report["verified"], report["uploaded"], report["pushed"]["applied"]) == (True, True, 1, 3)
    row = shell("show", "submission", tmp)
    assert (row["team_id"], row["metadata"]) == (team, {"from": "a file"})
    assert shell("status", "--server")["server_status"]["pending_outgoing_count"] == 0
    assert shell("check") == []

    bad = shell("create", "submission", json.dumps({**payload, "data": {"species": "Emperor"}}))["id"]
    assert shell("push")["pushed"]["refused"] == 1
    (refused,) = shell("refused")
    assert (refused["op"], refused["code"]) == (bad, "invalid_value")
    shell("retry", bad, json.dumps({**payload, "data": {"species": "Gentoo"}}))
    assert shell("push")["pushed"]["applied"] == 1
    assert shell("conflicts") == []
    mistake = shell("delete", "submission", tmp, fails=True)
    assert mistake["error"] == "forbidden"
    unsent = shell("create", "submission", json.dumps(payload))["id"]
    assert shell("discard", unsent) == {"discarded": [unsent]}
    shell("logout")
    assert shell("sync", fails=True)["action"] == "login"


def test_for_people(shell: Shell, server: Server, owner: Person, settings: Any) -> None:
    create_user(settings.database_url, "ana", "WORKER")
    shell("init", server.url)
    shell("login", "ana", "--password", PASSWORD)
    assert "pushed" in shell("sync", json_=False)
    assert "none" in shell("refused", json_=False)
    assert "device_id" in shell("status", json_=False)
    assert "unknown_table: nothing is no synced table" in shell("list", "nothing", json_=False, fails=True)


def test_without_a_replica(shell: Shell) -> None:
    assert "homing client init" in shell("status", fails=True)["detail"]
