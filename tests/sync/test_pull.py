"""Pull, ack, verify and what a device may ask of itself."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import psycopg
import pytest

from homing.engine import epoch
from homing.engine.collect import collect
from homing.server.tenant import open_tenant
from homing.settings import Settings
from tests.sync.scene import Caller, Json, Scene, create, delete, ok, problem, update, without


def gist(changes: list[Json]) -> list[tuple[Any, ...]]:
    return sorted((change["id"], change["action"], change.get("reason")) for change in changes)


def test_nothing_new_is_the_same_token(scene: Scene) -> None:
    device = scene.person()
    device.push(create("shelf", team_id=device.team, name="x"))
    changes, token = device.pull()
    assert len(changes) == 1
    for _ in range(3):
        page = device.page(token)
        assert without(page, "server_time") == {"next_token": token, "changes": [], "has_more": False}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 5000])
def test_pages_hold_every_row_once(scene: Scene, limit: int) -> None:
    device = scene.person()
    rows = {scene.shelf(device.team, name=f"{n}") for n in range(5)} | {scene.good(device.team) for _ in range(2)}
    found: list[Json] = []
    token = None
    while True:
        page = device.page(token, limit=limit, tables=["shelf", "good"])
        assert len(page["changes"]) <= limit
        found += page["changes"]
        token = page["next_token"]
        if not page["has_more"]:
            break
    assert gist(found) == sorted((row, "create", None) for row in rows)
    assert device.page(token)["changes"] == []


def test_limits(scene: Scene) -> None:
    device = scene.person()
    for limit in (0, -1):
        problem(device.post("/mobile/sync/pull", {"limit": limit}), 422, "invalid_envelope")
    problem(device.post("/mobile/sync/pull", {"limit": "many"}), 422, "invalid_envelope")
    assert device.page(limit=10**9)["has_more"] is False


def test_why_a_row_goes(scene: Scene) -> None:
    """Deleted, moved to a scope one does not hold, marked as deleted, or the scope itself is lost."""
    device = scene.person()
    second = str(scene.person().team)
    scene.join(device, second)
    removed, moved, lost = scene.shelf(device.team), scene.shelf(device.team), scene.shelf(second)
    stays = scene.shelf(device.team)
    _, token = device.pull()
    scene.execute("DELETE FROM shop.shelves WHERE id = %s", removed)
    scene.execute("UPDATE shop.shelves SET team_id = gen_random_uuid() WHERE id = %s", moved)
    scene.execute("UPDATE shop.shelves SET name = 'renamed' WHERE id = %s", stays)
    scene.leave(device, second)
    changes, token = device.pull(token)
    assert gist(changes) == sorted(
        [
            (removed, "delete", "deleted"),
            (moved, "delete", "out_of_scope"),
            (lost, "delete", "out_of_scope"),
            (stays, "update", None),
        ]
    )
    for change in changes:
        assert (change["payload"] is None) == (change["action"] == "delete")
    # Back in sight they come whole.
    scene.join(device, second)
    scene.execute("UPDATE shop.shelves SET team_id = %s WHERE id = %s", device.team, moved)
    changes, token = device.pull(token)
    assert {change["id"] for change in changes} == {moved, lost}
    assert all(change["payload"]["id"] == change["id"] for change in changes)


def test_membership_of_a_team_in_fieldwork(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    team = ok(office.post("/teams", {"name": f"Team {device.username}"}), 201)["id"]
    meter = ok(office.post("/meters", {"code": device.username, "reading": 1, "team_id": team}), 201)["id"]
    _, token = device.pull()
    ok(office.request("PUT", f"/teams/{team}/members/{device.user_id}"))
    changes, token = device.pull(token)
    assert {change["id"] for change in changes} == {team, meter}
    assert office.request("DELETE", f"/teams/{team}/members/{device.user_id}").status_code in (200, 204)
    changes, token = device.pull(token)
    assert gist(changes) == sorted((row, "delete", "out_of_scope") for row in (team, meter))


def test_rights_that_go_in_the_middle_of_a_pull(scene: Scene) -> None:
    """Whatever page it is: what came before is taken back, what is held at the end is there."""
    for stop in range(6):
        device = scene.person()
        second = str(scene.person().team)
        scene.join(device, second)
        kept = {scene.shelf(device.team) for _ in range(3)}
        for _ in range(3):
            scene.shelf(second)
        held: dict[str, Json] = {}
        token, pages = None, 0
        while True:
            page = device.page(token, limit=1, tables=["shelf"])
            for change in page["changes"]:
                if change["action"] == "delete":
                    held.pop(change["id"], None)
                else:
                    held[change["id"]] = change["payload"]
            token = page["next_token"]
            if pages == stop:
                scene.leave(device, second)
            pages += 1
            if not page["has_more"] and pages > stop:
                break
        for change in device.pull(token)[0]:
            assert change["action"] == "delete"
            held.pop(change["id"], None)
        assert set(held) == kept


def test_some_tables_only(scene: Scene) -> None:
    device = scene.person()
    scene.shelf(device.team)
    good = scene.good(device.team)
    changes, token = device.pull(tables=["good"])
    assert [change["id"] for change in changes] == [good]
    scene.shelf(device.team)
    assert device.page(token)["changes"] == []
    problem(device.post("/mobile/sync/pull", {"since_token": token, "tables": ["shelf"]}), 422, "invalid_envelope")
    problem(device.post("/mobile/sync/pull", {"tables": ["pg_authid"]}), 422, "invalid_envelope")
    assert device.pull(tables=[])[0] == []


def test_tokens_that_are_not_ours_are_one_answer(scene: Scene) -> None:
    """Altered, of somebody else, made up: byte for byte the same."""
    device, other = scene.person(), scene.person()
    _, token = device.pull()
    _, foreign = other.pull()
    middle = len(token) // 2
    wrong = [
        foreign,
        token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :],
        token[:-1],
        token + "A",
        token.replace("tok1_", "tok2_"),
        "tok1_",
        "tok_20251203_123",
        "",
        "é",
        "tok1_" + "A" * 20_000,
    ]
    answers = {device.post("/mobile/sync/pull", {"since_token": text}).content for text in wrong}
    answers |= {device.post("/mobile/sync/ack", {"ack_token": text}).content for text in wrong}
    answers |= {device.post("/mobile/sync/verify", {"token": text, "digests": {}}).content for text in wrong}
    assert len(answers) == 1
    refused = problem(device.post("/mobile/sync/pull", {"since_token": foreign}), 400, "invalid_token")
    assert refused["action"] == "resync"
    problem(device.post("/mobile/sync/pull", {"since_token": 5}), 422, "invalid_envelope")


def digests(changes: list[Json], raw: str) -> dict[str, Json]:
    """Of shelves alone: md5 over the very text of the payload, as it came."""
    total = 0
    for change in changes:
        start = raw.index('"payload":', raw.index(f'"id":"{change["id"]}"')) + len('"payload":')
        depth = 0
        for end in range(start, len(raw)):
            depth += {"{": 1, "}": -1}.get(raw[end], 0)
            if depth == 0:
                break
        text = f"{change['id']}:{change['server_version']}:{raw[start : end + 1]}"
        total += int(hashlib.md5(text.encode()).hexdigest()[:15], 16)
    return {"shelf": {"count": len(changes), "hash": str(total)}}


def test_a_replica_proves_itself(scene: Scene) -> None:
    device = scene.person()
    for n in range(3):
        scene.shelf(device.team, name=f"{n}", rent="1.50")
    answer = device.post("/mobile/sync/pull", {"tables": ["shelf"]})
    page = ok(answer)
    right = digests(page["changes"], answer.text)

    def verify(given: dict[str, Json], token: str = page["next_token"]) -> Json:
        found: Json = ok(device.post("/mobile/sync/verify", {"token": token, "digests": given}))
        return found

    assert verify(right) == {"equal": True, "current": True, "differ": [], "digests": right}
    for wrong in ({}, {"shelf": {"count": 3, "hash": "1"}}, {"shelf": {**right["shelf"], "count": 2}}):
        assert verify(wrong) == {"equal": False, "current": True, "differ": ["shelf"], "digests": right}
    problem(
        device.post("/mobile/sync/verify", {"token": page["next_token"], "digests": {"nothing": right["shelf"]}}),
        422,
        "invalid_envelope",
    )
    scene.shelf(device.team)
    assert verify(right) == {"equal": False, "current": False, "differ": [], "digests": {}}
    partial = device.page(limit=1)
    assert partial["has_more"]
    problem(
        device.post("/mobile/sync/verify", {"token": partial["next_token"], "digests": {}}), 422, "invalid_envelope"
    )


def test_acks_count_what_was_delivered_and_never_go_back(scene: Scene) -> None:
    device = scene.person()

    def ack(token: str, **more: Any) -> int:
        answer = ok(device.post("/mobile/sync/ack", {"ack_token": token, **more}))
        assert set(answer) == {"acked_at", "synced"}
        return int(answer["synced"])

    def acked() -> Any:
        return scene.rows(
            "SELECT snapshot::text, delivered FROM homing.cursors WHERE device_id = %s", device.device_row
        )

    _, before = device.pull(tables=["shelf"])
    scene.shelf(device.team)
    scene.shelf(device.team)
    _, first = device.pull(before)
    scene.shelf(device.team)
    _, second = device.pull(first)
    assert [ack(before), ack(first), ack(first)] == [0, 2, 0]
    assert ack(second, pending=7) == 1
    newest = acked()
    assert [ack(first), ack(before), ack(second)] == [0, 0, 0]
    assert acked() == newest
    status = ok(device.get("/mobile/sync/status"))
    assert (status["device_id"], status["pending_outgoing_count"], status["device_status"]) == (
        device.device_id,
        7,
        "active",
    )
    assert status["last_sync_timestamp"] is not None
    assert status["token_age_seconds"] in range(60)
    problem(device.post("/mobile/sync/ack", {"ack_token": second, "pending": -1}), 422, "invalid_envelope")
    web = scene.signed_in(device, device=False)
    problem(web.post("/mobile/sync/ack", {"ack_token": second}), 403, "device_unknown")
    problem(web.get("/mobile/sync/status"), 403, "device_unknown")


def test_status_of_a_device_that_never_synced(scene: Scene) -> None:
    device = scene.person()
    assert ok(device.get("/mobile/sync/status")) == {
        "device_id": device.device_id,
        "last_sync_timestamp": None,
        "pending_outgoing_count": 0,
        "sync_status": "idle",
        "acked_at": None,
        "token_age_seconds": None,
        "quarantined": 0,
        "conflicts": 0,
        "device_status": "active",
        "trust_score": 1.0,
    }


def test_why_a_device_holds_a_row(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    shelf = scene.shelf(device.team)
    path = f"/mobile/devices/{device.device_row}/explain"

    def explain() -> tuple[Any, ...]:
        found = ok(office.get(path, table="shelf", row=shelf))
        return found["exists"], found["holds"], found["delivered"], found["by"], found["reason"]

    through = f"shop.team:{device.team}"
    holds = f"{device.username} holds {through}"
    assert explain() == (True, True, False, [through], f"{holds}; the device has not acked any pull yet.")
    _, token = device.pull()
    ok(device.post("/mobile/sync/ack", {"ack_token": token}))
    covered = f"{holds}, and the device acked a pull with the row's last change."
    assert explain() == (True, True, True, [through], covered)
    scene.execute("UPDATE shop.shelves SET name = 'later' WHERE id = %s", shelf)
    later = f"{holds}; the row's last change comes with the device's next pull."
    assert explain() == (True, True, False, [through], later)
    scene.leave(device, device.team)
    nobody = f"{device.username} does not hold it: the row is in shop.office:all, {through}."
    assert explain() == (True, False, False, [], nobody)
    scene.join(device, device.team)
    scene.execute("DELETE FROM shop.shelves WHERE id = %s", shelf)
    assert explain() == (False, False, False, [], "The row was deleted.")
    problem(device.get(path, table="shelf", row=shelf), 403, "forbidden")
    problem(office.get(path, table="nothing", row=shelf), 404, "not_found")


def test_the_schema_says_what_travels_and_what_may_be_written(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    schemas = {who.role: ok(who.get("/mobile/schema")) for who in (office, device)}
    assert schemas["OWNER"]["schema_version"] == schemas["WORKER"]["schema_version"]
    tables = {table["resource_type"]: table for table in schemas["WORKER"]["tables"]}
    good = tables["good"]
    assert (good["app"], good["key"], good["create"], good["delete"]) == ("shop", "id", True, True)
    assert good["merge"] == {
        "default": "manual",
        "fields": {
            "stock": "counter",
            "tags": "union",
            "stage": "furthest",
            "note": "last_write_wins",
            "price": "server_wins",
            "colour": "client_wins",
            "label": "function",
        },
        "by_version": False,
    }
    columns = {column["name"]: column for column in good["columns"]}
    assert "secret" not in columns
    assert columns["parent_id"]["references"] == {"resource_type": "good", "column": "id"}
    assert columns["title"] == {
        "name": "title",
        "type": "text",
        "nullable": False,
        "required": True,
        "writable": ["create", "update"],
    }
    shelves = {
        role: {column["name"]: column["writable"] for table in schema["tables"] for column in table["columns"]
               if table["resource_type"] == "shelf"}
        for role, schema in schemas.items()
    }  # fmt: skip
    assert (shelves["OWNER"]["inspector"], shelves["WORKER"]["inspector"]) == (["create", "update"], [])
    assert tables["aisle"]["soft_delete"] == "gone"


def _with_tenant(settings: Settings, act: Any) -> None:
    async def run() -> None:
        async with open_tenant(settings) as tenant:
            await act(tenant)

    anyio.run(run)


def test_a_token_older_than_what_was_collected(scene: Scene, shop_settings: Settings) -> None:
    """Ninety days by the clock that collects; a device that came by meanwhile goes on."""
    away, present = scene.person(), scene.person()
    shelf = scene.shelf(away.team)
    _, old = away.pull()
    scene.execute("DELETE FROM shop.shelves WHERE id = %s", shelf)
    later = datetime.now(UTC) + timedelta(hours=1)
    days = timedelta(days=shop_settings.limits.departures_days + 1)

    def collected(moment: datetime) -> None:
        async def act(tenant: Any) -> None:
            await collect(tenant.engine, now=moment)

        _with_tenant(shop_settings, act)

    collected(later)
    _, fresh = present.pull()
    collected(later + days)
    refused = problem(away.post("/mobile/sync/pull", {"since_token": old}), 410, "resync_required")
    assert (refused["reason"], refused["action"]) == ("too_old", "resync")
    assert shelf not in {change["id"] for change in away.pull()[0]}
    assert present.page(fresh)["changes"] == []


def test_a_new_epoch(scene: Scene, shop_settings: Settings) -> None:
    """Every token is of the past, and no late ack of one counts."""
    device = scene.person()
    scene.shelf(device.team)
    _, old = device.pull()
    assert shop_settings.database_url is not None

    async def begin() -> None:
        async with await psycopg.AsyncConnection.connect(shop_settings.database_url or "", autocommit=True) as conn:
            await epoch.begin(conn, "a test")

    anyio.run(begin)
    for answer in (
        device.post("/mobile/sync/pull", {"since_token": old}),
        device.post("/mobile/sync/verify", {"token": old, "digests": {}}),
    ):
        refused = problem(answer, 410, "resync_required")
        assert (refused["reason"], refused["action"]) == ("epoch", "resync")
        assert refused["detail"] == "The database began a new epoch: a test."
    changes, new = device.pull(tables=["shelf"])
    assert len(changes) == 1
    assert ok(device.post("/mobile/sync/ack", {"ack_token": new}))["synced"] == 1
    acked = scene.rows("SELECT epoch, snapshot::text FROM homing.cursors WHERE device_id = %s", device.device_row)
    assert ok(device.post("/mobile/sync/ack", {"ack_token": old}))["synced"] == 0
    assert (
        scene.rows("SELECT epoch, snapshot::text FROM homing.cursors WHERE device_id = %s", device.device_row) == acked
    )
    # What waits in the outbox is taken all the same.
    (result,) = device.push(create("shelf", team_id=device.team, name="from the outbox"), client_sync_token=old)
    assert result["status"] == "ok"


def test_truncation_is_a_new_epoch(scene: Scene) -> None:
    device: Caller = scene.person()
    _, token = device.pull()
    scene.execute("TRUNCATE shop.memos")
    problem(device.post("/mobile/sync/pull", {"since_token": token}), 410, "resync_required")


def test_a_push_comes_back_with_the_next_pull(scene: Scene) -> None:
    device = scene.person()
    _, token = device.pull()
    (made,) = device.push(create("shelf", "s", team_id=device.team, name="one"))
    (changed,) = device.push(update("shelf", "s", 1, name="two"))
    ((change,), token) = device.pull(token)
    assert (change["id"], change["action"], change["server_version"], change["payload"]["name"]) == (
        made["server_id"],
        "update",
        changed["server_version"],
        "two",
    )
    device.push(delete("shelf", "s", 2))
    ((change,), _) = device.pull(token)
    assert gist([change]) == [(made["server_id"], "delete", "deleted")]
