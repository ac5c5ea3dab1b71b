"""The conflict queue: lists, one conflict whole, and decisions, of which exactly one counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from homing.settings import Settings
from tests.fixtures.server import serving
from tests.sync.scene import Caller, Json, Scene, delete, ok, problem, update, without


@pytest.fixture(scope="module")
def other_node(shop_settings: Settings, scene: Scene) -> Iterator[httpx.Client]:
    """A second server on the same database."""
    with serving(shop_settings) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


def contested(scene: Scene, device: Caller, office: Caller, **ours: Any) -> tuple[str, str]:
    """A good whose title both sides changed; its id and the conflict's."""
    good = scene.good(device.team, title="base")
    ok(office.send(update("good", good, 1, title="theirs", note="theirs too")))
    (result,) = device.push(update("good", good, 1, title="ours", **ours))
    assert (result["status"], result["code"]) == ("conflict", "version_conflict")
    return good, str(result["conflict_id"])


def everything(office: Caller, path: str, **params: Any) -> list[Json]:
    """Every page of a list."""
    found: list[Json] = []
    after = None
    while True:
        page = ok(office.get(path, **params, **({"after": after} if after else {})))
        assert len(page["items"]) <= params["limit"]
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def test_conflicts_are_listed_filtered_and_paged(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    other = scene.signed_in(device)
    ids = [contested(scene, device, office)[1] for _ in range(5)]
    shelf = scene.shelf(device.team)
    office.push(update("shelf", shelf, 1, name="theirs"))
    ids.append(other.push(update("shelf", shelf, 1, name="ours"))[0]["conflict_id"])
    ok(office.post(f"/mobile/conflicts/{ids[0]}/resolve", {"resolution": "accept_server"}))

    def listed(who: Caller, **params: Any) -> list[str]:
        return [item["id"] for item in everything(who, "/mobile/conflicts", limit=2, **params)]

    mine = {"device_id": device.device_id}
    newest = list(reversed(ids))
    assert listed(office, **mine) == newest[1:]
    assert listed(office, resolution="pending", **mine) == newest[1:5]
    assert listed(office, resolution="resolved", **mine) == [ids[0]]
    assert listed(office, resource_type="shelf", device_id=other.device_id) == [ids[5]]
    assert listed(office, resource_type="shelf", **mine) == []
    assert [found for found in listed(office) if found in ids] == newest
    problem(office.get("/mobile/conflicts", resolution="unheard of"), 400, "invalid_parameter")
    # Somebody in the field sees those of their own edits, from any of their devices.
    assert listed(device) == newest
    assert listed(scene.person(team=device.team)) == []
    assert ok(device.get("/mobile/sync/status"))["conflicts"] == 4


def test_a_conflict_whole(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    good = scene.good(device.team, title="base", stock=1)
    scene.execute("UPDATE shop.goods SET secret = 'not for phones', colour = 'grey' WHERE id = %s", good)
    office.push(update("good", good, 2, title="theirs", label="new"))
    (result,) = device.push(update("good", good, 1, title="ours", stock=5, parent_id=good))
    for who in (office, device):
        shown = ok(who.get(f"/mobile/conflicts/{result['conflict_id']}"))
        changes = shown.pop("changes")
        assert without(shown, "detected_at", "base_payload", "server_payload") == {
            "id": result["conflict_id"],
            "resource_type": "good",
            "resource_id": good,
            "code": "version_conflict",
            "action": "update",
            "resolution": "pending",
            "resolution_action": None,
            "fields": ["title"],
            "server_version": 3,
            "client_version": 1,
            "resolved_at": None,
            "resolved_by": None,
            "device_id": device.device_id,
            "user": device.username,
            "policy": None,
            "client_payload": {"id": good, "title": "ours", "stock": 5, "parent_id": good},
            "notes": None,
            "resolved_payload": None,
            "resolved_version": None,
            "batch_id": str(scene.value("SELECT batch_id FROM homing.sync_items WHERE conflict_id = %s", shown["id"])),
            "edited_at": None,
        }
        assert shown["server_payload"] == result["server_payload"]
        assert shown["server_payload"] | {"title": "base", "label": None, "colour": None} == shown["base_payload"]
        assert [without(change, "at") for change in changes] == [
            {"version": 2, "actor": "outside", "by": None, "device": None, "fields": {"colour": [None, "grey"]}},
            {
                "version": 3,
                "actor": office.user_id,
                "by": office.username,
                "device": None,
                "fields": {"title": ["base", "theirs"], "label": [None, "new"]},
            },
        ]
    problem(scene.person(team=device.team).get(f"/mobile/conflicts/{result['conflict_id']}"), 404, "not_found")
    problem(office.get(f"/mobile/conflicts/{uuid4()}"), 404, "not_found")


def test_who_lost_the_row_does_not_see_what_becomes_of_it(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    good, conflict = contested(scene, device, office)
    scene.leave(device, device.team)
    office.push(update("good", good, 2, title="secret now"))
    problem(
        office.post(f"/mobile/conflicts/{conflict}/resolve", {"resolution": "accept_client"}), 409, "state_conflict"
    )
    shown = ok(device.get(f"/mobile/conflicts/{conflict}"))
    assert (shown["server_payload"], shown["changes"]) == (None, [])
    assert ok(office.get(f"/mobile/conflicts/{conflict}"))["server_payload"]["title"] == "secret now"


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ({"resolution": "accept_server"}, {"title": "theirs", "note": "theirs too", "stock": 0}),
        ({"resolution": "accept_client"}, {"title": "ours", "note": "theirs too", "stock": 5}),
        (
            {"resolution": "merged", "payload": {"title": "both", "label": "decided"}},
            {"title": "both", "note": "theirs too", "stock": 0, "label": "decided"},
        ),
    ],
    ids=lambda value: value.get("resolution"),
)
def test_a_decision_reaches_every_device(scene: Scene, decision: Json, expected: Json) -> None:
    office, device = scene.office(), scene.person()
    colleague = scene.person(team=device.team)
    good, conflict = contested(scene, device, office, stock=5)
    tokens = {person: person.pull()[1] for person in (device, colleague)}
    answer = ok(office.post(f"/mobile/conflicts/{conflict}/resolve", decision | {"notes": "seen on site"}))
    assert (
        answer["resolution"],
        answer["resolution_action"],
        answer["resolved_by"],
        answer["notes"],
        answer["resolved_version"],
    ) == ("resolved", decision["resolution"], office.user_id, "seen on site", 3)
    assert ok(office.get(f"/mobile/conflicts/{conflict}")) == answer
    for person, token in tokens.items():
        ((change,), _) = person.pull(token)
        assert (change["id"], change["action"], change["server_version"]) == (good, "update", 3)
        assert change["payload"] | expected == change["payload"] == answer["resolved_payload"]
    history = ok(office.get("/mobile/history", table="good", row=good))["items"]
    assert [(change["version"], change["actor"]) for change in history] == [
        (3, office.user_id),
        (2, office.user_id),
        (1, "outside"),
    ]
    # The device goes on from there.
    (result,) = device.push(update("good", good, 3, title="and on"))
    assert (result["status"], result["server_version"]) == ("ok", 4)


def test_decisions_that_make_no_sense(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    good, conflict = contested(scene, device, office)
    path = f"/mobile/conflicts/{conflict}/resolve"
    for body in (
        {"resolution": "merged"},
        {"resolution": "accept_client", "payload": {"title": "x"}},
        {"resolution": "coin toss"},
        {},
        {"resolution": "merged", "payload": {"title": 5}},
        {"resolution": "merged", "payload": {"no such": 5}},
        {"resolution": "merged", "payload": {"version": 5}},
        {"resolution": "merged", "payload": {"shelf_id": str(uuid4())}},
        {"resolution": "merged", "payload": {"title": "refused by check"}},
        {"resolution": "merged", "payload": {"title": "refused by effect"}},
    ):
        problem(office.post(path, body), 422, "invalid_envelope")
    problem(device.post(path, {"resolution": "accept_client"}), 403, "forbidden")
    problem(office.post(f"/mobile/conflicts/{uuid4()}/resolve", {"resolution": "accept_client"}), 404, "not_found")
    assert scene.rows("SELECT title, version FROM shop.goods WHERE id = %s", good) == [("theirs", 2)]
    assert ok(office.get(f"/mobile/conflicts/{conflict}"))["resolution"] == "pending"


def test_of_eight_decisions_on_two_servers_one_counts(scene: Scene, other_node: httpx.Client) -> None:
    device = scene.person()
    offices = [scene.office() for _ in range(8)]
    good, conflict = contested(scene, device, offices[0])
    barrier = threading.Barrier(8)
    answers: dict[int, httpx.Response] = {}

    def decide(n: int) -> None:
        body = {"resolution": "merged", "payload": {"title": f"by {n}"}}
        headers = {"authorization": f"Bearer {offices[n].token}"}
        barrier.wait()
        http = other_node if n % 2 else scene.http
        answers[n] = http.post(f"/api/v1/mobile/conflicts/{conflict}/resolve", json=body, headers=headers)

    threads = [threading.Thread(target=decide, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [n for n, answer in answers.items() if answer.status_code == 200]
    decided = answers[winner].json()
    for n, answer in answers.items():
        if n != winner:
            assert problem(answer, 409, "already_resolved")["winner"] == {
                "resolution": "merged",
                "resolved_by": offices[winner].username,
                "resolved_at": decided["resolved_at"],
            }
    assert scene.rows("SELECT title, version FROM shop.goods WHERE id = %s", good) == [(f"by {winner}", 3)]


def test_a_row_that_moved_on_is_looked_at_again(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    good, conflict = contested(scene, device, office)
    path = f"/mobile/conflicts/{conflict}/resolve"
    office.push(update("good", good, 2, stock=9))
    office.push(update("good", good, 3, title="theirs again"))
    answer = problem(office.post(path, {"resolution": "accept_client"}), 409, "state_conflict")
    assert answer["server_version"] == 4
    shown = ok(office.get(f"/mobile/conflicts/{conflict}"))
    assert (shown["resolution"], shown["server_version"], shown["server_payload"]["title"]) == (
        "pending",
        4,
        "theirs again",
    )
    # Elsewhere it may change: that is not what is decided.
    office.push(update("good", good, 4, stock=10))
    assert ok(office.post(path, {"resolution": "accept_client"}))["resolved_version"] == 6
    assert scene.rows("SELECT title, stock FROM shop.goods WHERE id = %s", good) == [("ours", 10)]


def test_a_deleted_row_comes_back_by_accept_client(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    colleague = scene.person(team=device.team)
    shelf = scene.shelf(device.team, name="before", size=4, rent="12.30", tags=["a"], plan='{"a": 1}')
    _, token = colleague.pull()
    office.push(delete("shelf", shelf, 1))
    _, token = colleague.pull(token)
    (result,) = device.push(update("shelf", shelf, 1, name="ours"))
    assert result["code"] == "deleted"
    shown = ok(office.get(f"/mobile/conflicts/{result['conflict_id']}"))
    assert (shown["code"], shown["server_payload"], shown["fields"]) == ("deleted", None, ["name"])
    answer = ok(office.post(f"/mobile/conflicts/{result['conflict_id']}/resolve", {"resolution": "accept_client"}))
    ((change,), _) = colleague.pull(token)
    assert (change["id"], change["action"], change["payload"]) == (shelf, "update", answer["resolved_payload"])
    assert {name: change["payload"][name] for name in ("name", "size", "rent", "tags", "plan")} == {
        "name": "ours",
        "size": 4,
        "rent": "12.30",
        "tags": ["a"],
        "plan": {"a": 1},
    }


def test_a_deleted_row_stays_deleted_by_accept_server(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    shelf = scene.shelf(device.team)
    office.push(delete("shelf", shelf, 1))
    (result,) = device.push(update("shelf", shelf, 1, name="ours"))
    path = f"/mobile/conflicts/{result['conflict_id']}/resolve"
    answer = ok(office.post(path, {"resolution": "accept_server"}))
    assert (answer["resolution"], answer["resolved_payload"], answer["resolved_version"]) == ("resolved", None, None)
    assert scene.value("SELECT count(*) FROM shop.shelves WHERE id = %s", shelf) == 0


@pytest.mark.parametrize("resolution", ["accept_server", "accept_client"])
def test_a_delete_that_waits(scene: Scene, resolution: str) -> None:
    office, device = scene.office(), scene.person()
    shelf = scene.shelf(device.team)
    office.push(update("shelf", shelf, 1, name="theirs"))
    (result,) = device.push(delete("shelf", shelf, 1))
    answer = ok(office.post(f"/mobile/conflicts/{result['conflict_id']}/resolve", {"resolution": resolution}))
    left = scene.rows("SELECT name, version FROM shop.shelves WHERE id = %s", shelf)
    assert left == ([("theirs", 3)] if resolution == "accept_server" else [])
    assert answer["resolved_version"] == (3 if resolution == "accept_server" else None)


def test_the_same_edit_sent_again_gets_the_conflict_it_has(scene: Scene) -> None:
    """Without a key, in new batches: one question for the office, not three."""
    office, device = scene.office(), scene.person()
    good, conflict = contested(scene, device, office)
    again = [device.push(update("good", good, 1, title="ours"))[0]["conflict_id"] for _ in range(2)]
    twice = [result["conflict_id"] for result in device.push(*[update("good", good, 1, title="ours")] * 2)]
    assert {*again, *twice} == {conflict}
    ok(office.post(f"/mobile/conflicts/{conflict}/resolve", {"resolution": "accept_server"}))
    (new,) = device.push(update("good", good, 1, title="ours"))
    assert new["conflict_id"] not in (None, conflict)


def test_what_changed_is_told_in_wire_values(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    shelf = scene.shelf(device.team, rent="12.50", built="2025-01-02T03:04:05+02:00", places=2**60)
    office.push(update("shelf", shelf, 1, rent="3", built="2025-01-02T00:00:00Z", places="7", name="theirs"))
    (result,) = device.push(update("shelf", shelf, 1, name="ours"))
    told = {
        "name": ["a shelf", "theirs"],
        "rent": ["12.50", "3.00"],
        "built": ["2025-01-02T01:04:05.000000Z", "2025-01-02T00:00:00.000000Z"],
        "places": [str(2**60), 7],
    }
    (change,) = ok(office.get(f"/mobile/conflicts/{result['conflict_id']}"))["changes"]
    assert (change["fields"], change["at"][-1]) == (told, "Z")
    history = ok(office.get("/mobile/history", table="shelf", row=shelf))["items"]
    assert [entry["fields"] for entry in history] == [told, None]
