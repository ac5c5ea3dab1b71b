"""The device registry, from the device's side and from the office's."""

import threading
from concurrent.futures import Future
from typing import Any

import httpx
import psycopg

from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

DEVICES = "/api/v1/mobile/devices"


def registration(name: str, **changed: Any) -> dict[str, Any]:
    body = {"device_id": name, "device_type": "android", "os_version": "15", "app_version": "2.1.0"}
    return body | changed


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["code"], answer.json()["action"]


def rows(settings: Settings, query: str, *params: Any) -> list[tuple[Any, ...]]:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute(query, params).fetchall()  # type: ignore[arg-type]


def test_the_whole_answer(settings: Settings, new_person: SignIn) -> None:
    ann = new_person("ann")
    answer = ann.http.post(
        DEVICES, json=registration("phone-1", push_token="fcm:1", metadata={"model": "X1", "nested": {"a": [1, None]}})
    )
    device = answer.json()
    assert (answer.status_code, device) == (
        200,
        {
            "id": device["id"],
            "device_id": "phone-1",
            "user_id": ann.id,
            "user_name": "Ann",
            "device_type": "android",
            "os_version": "15",
            "app_version": "2.1.0",
            "has_push_token": True,
            "status": "active",
            "status_reason": None,
            "trust_score": 1.0,
            "trust_reasons": [],
            "metadata": {"model": "X1", "nested": {"a": [1, None]}},
            "fingerprint_at": None,
            "clock_offset_seconds": None,
            "last_seen": device["last_seen"],
            "created_at": device["created_at"],
            "updated_at": device["updated_at"],
        },
    )
    assert "fcm:1" not in answer.text
    assert rows(settings, "SELECT device_id, sync_status FROM homing.sync_metadata") == [("phone-1", "idle")]


def test_repeated_is_update_and_keeps_what_is_left_out(new_person: SignIn) -> None:
    ann = new_person("ann")
    first = ann.http.post(DEVICES, json=registration("phone-1", push_token="fcm:1", metadata={"model": "X1"})).json()
    second = ann.http.post(DEVICES, json=registration("phone-1", os_version="16", app_version="2.2.0")).json()
    assert second == {
        **first,
        "os_version": "16",
        "app_version": "2.2.0",
        "last_seen": second["last_seen"],
        "updated_at": second["updated_at"],
    }
    assert second["updated_at"] > first["updated_at"]


def test_a_session_without_a_device_belongs_to_the_one_registered_in_it(new_person: SignIn) -> None:
    ann = new_person("ann")
    device = ann.http.post(DEVICES, json=registration("phone-1")).json()
    assert ann.http.get("/api/v1/auth/me").json()["device"] is None
    ann.refresh()
    assert ann.http.get("/api/v1/auth/me").json()["device"] == device


def test_another_device_than_the_tokens(new_person: SignIn) -> None:
    ann = new_person("ann", device_id="phone-1")
    assert refused(ann.http.post(DEVICES, json=registration("phone-2"))) == (403, "device_mismatch", "stop")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"device_id": ""}, "invalid_envelope"),
    ({"device_id": "x" * 201}, "invalid_envelope"),
    ({"device_id": "a\nb"}, "invalid_envelope"),
    ({"device_id": "phöne"}, "invalid_envelope"),
    ({"device_type": None}, "invalid_envelope"),
    ({"metadata": []}, "invalid_envelope"),
    ({"metadata": {"a": "x" * 17_000}}, "too_large"),
    ({"push_token": ""}, "invalid_envelope"),
]


def test_refused_registrations(settings: Settings, new_person: SignIn) -> None:
    ann = new_person("ann")
    found = [
        (changed, ann.http.post(DEVICES, json=registration("phone-1", **changed)).json()["code"])
        for changed, _ in REFUSED
    ]
    assert found == REFUSED
    assert rows(settings, "SELECT * FROM homing.mobile_devices") == []
    assert ann.http.post(DEVICES, json=registration("phone-1")).status_code == 200


def test_twenty_registrations_at_once_make_one_device(settings: Settings, server: Server, new_person: SignIn) -> None:
    ann = new_person("ann")
    barrier = threading.Barrier(20)
    found: list[str] = []

    def register(n: int) -> None:
        with httpx.Client(base_url=server.url, headers=ann.http.headers, timeout=60) as client:
            barrier.wait()
            found.append(client.post(DEVICES, json=registration("phone-1", os_version=str(n))).json()["id"])

    threads = [threading.Thread(target=register, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert rows(settings, "SELECT count(*), min(id::text) FROM homing.mobile_devices") == [(1, found[0])]


def test_a_device_that_changes_hands(settings: Settings, new_person: SignIn, sign_in: SignIn) -> None:
    """It becomes the new user's, the old user's sessions on it end, others of the old user go on."""
    ann, anns_browser = new_person("ann", device_id="tablet"), sign_in("ann")
    ann.http.post(DEVICES, json=registration("tablet", push_token="fcm:ann"))
    ben = new_person("ben", device_id="tablet")
    device = ben.device or {}
    assert (device["user_id"], device["user_name"], device["has_push_token"]) == (ben.id, "Ben", False)
    assert ann.device is not None
    assert device["id"] == ann.device["id"]
    assert ann.http.get("/api/v1/auth/me").json()["code"] == "unauthenticated"
    refreshed = ann.http.post("/api/v1/auth/refresh", json={"refresh_token": ann.tokens["refresh_token"]})
    assert refreshed.json()["code"] == "invalid_refresh_token"
    assert anns_browser.http.get("/api/v1/auth/me").status_code == 200
    assert ben.http.get("/api/v1/auth/me").json()["device"]["id"] == device["id"]


def test_a_push_token_is_one_devices(settings: Settings, new_person: SignIn) -> None:
    """A phone that was set up anew must not get what was meant for its old name."""
    ann, ben = new_person("ann", device_id="old"), new_person("ben", device_id="new")
    ann.http.post(DEVICES, json=registration("old", push_token="fcm:1"))
    ben.http.post(DEVICES, json=registration("new", push_token="fcm:1"))
    assert rows(settings, "SELECT device_id, push_token FROM homing.mobile_devices ORDER BY 1") == [
        ("new", "fcm:1"),
        ("old", None),
    ]


def test_revoked_stays_revoked(
    server: Server, settings: Settings, owner: Person, worker: Person, new_person: SignIn, sign_in: SignIn
) -> None:
    """Whatever the device does: register, refresh, sign in, or come back with another user."""
    assert worker.device is not None
    browser = sign_in("wim")
    worker.http.post(DEVICES, json=registration("wims-phone", push_token="fcm:1"))
    path = f"{DEVICES}/{worker.device['id']}"
    revoked = owner.http.patch(path, json={"status": "revoked", "reason": "left on a ferry"}).json()
    assert (revoked["status"], revoked["status_reason"]) == ("revoked", "left on a ferry")
    assert revoked["has_push_token"] is False

    wipe = (403, "device_revoked", "wipe")
    assert refused(worker.http.get("/api/v1/auth/me")) == wipe
    assert refused(worker.http.post(DEVICES, json=registration("wims-phone"))) == wipe
    refresh = worker.http.post("/api/v1/auth/refresh", json={"refresh_token": worker.tokens["refresh_token"]})
    assert refused(refresh) == (401, "invalid_refresh_token", "login")
    body = {"login": "wim", "password": "correct horse battery", "device_id": "wims-phone"}
    assert refused(worker.http.post("/api/v1/auth/login", json=body)) == wipe
    # Without the right password nobody learns that the device is revoked.
    wrong = worker.http.post("/api/v1/auth/login", json={**body, "password": "wrong"})
    assert refused(wrong) == (401, "invalid_credentials", "login")
    ben = new_person("ben")
    assert refused(ben.http.post(DEVICES, json=registration("wims-phone"))) == wipe
    assert rows(settings, "SELECT user_id::text, status::text FROM homing.mobile_devices") == [(worker.id, "revoked")]
    # The person is not the device.
    assert browser.http.get("/api/v1/auth/me").status_code == 200

    assert owner.http.patch(path, json={"status": "active", "reason": "found"}).json()["status"] == "active"
    assert worker.http.get("/api/v1/auth/me").json()["code"] == "unauthenticated"
    assert sign_in("wim", device_id="wims-phone").device is not None


def test_suspended_stays_suspended_through_a_registration(owner: Person, worker: Person) -> None:
    assert worker.device is not None
    path = f"{DEVICES}/{worker.device['id']}"
    owner.http.patch(path, json={"status": "suspended", "reason": "holiday"})
    again = worker.http.post(DEVICES, json=registration("wims-phone")).json()
    assert (again["status"], again["status_reason"]) == ("suspended", "holiday")
    assert refused(worker.http.post("/api/v1/mobile/sync/pull", json={})) == (403, "device_suspended", "stop")
    worker.refresh()
    assert owner.http.patch(path, json={"status": "active"}).json()["status_reason"] is None
    assert worker.http.post("/api/v1/mobile/sync/pull", json={}).status_code == 200


def test_revoking_waits_for_the_push_that_is_running(settings: Settings, owner: Person, worker: Person) -> None:
    """The device's row lock, which pushes hold, orders the two: what is being applied is applied first."""
    assert worker.device is not None
    assert settings.database_url is not None
    done: Future[httpx.Response] = Future()

    def revoke() -> None:
        assert worker.device is not None
        done.set_result(owner.http.patch(f"{DEVICES}/{worker.device['id']}", json={"status": "revoked"}))

    with psycopg.connect(settings.database_url) as push, psycopg.connect(settings.database_url, autocommit=True) as eye:
        push.execute("SELECT 1 FROM homing.mobile_devices WHERE id = %s FOR SHARE", [worker.device["id"]])
        thread = threading.Thread(target=revoke)
        thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while eye.execute(waiting).fetchone() == (0,):
            pass
        assert not done.done()
        assert worker.http.get("/api/v1/auth/me").status_code == 200
        push.commit()
        thread.join()
    assert done.result().json()["status"] == "revoked"
    assert refused(worker.http.get("/api/v1/auth/me")) == (403, "device_revoked", "wipe")


def test_list_filters_and_pages(owner: Person, new_person: SignIn) -> None:
    ann, ben = new_person("ann", device_id="a-phone"), new_person("ben", device_id="b-phone")
    new_person("cleo", device_id="c-tablet")
    assert ben.device is not None
    owner.http.patch(f"{DEVICES}/{ben.device['id']}", json={"status": "suspended"})

    def names(**query: Any) -> list[str]:
        return [device["device_id"] for device in owner.http.get(DEVICES, params=query).json()["items"]]

    assert names() == ["c-tablet", "b-phone", "a-phone"]
    assert names(status="suspended") == ["b-phone"]
    assert names(status="active") == ["c-tablet", "a-phone"]
    assert names(user_id=ann.id) == ["a-phone"]
    assert names(q="PHONE") == ["b-phone", "a-phone"]
    assert names(q="cleo") == ["c-tablet"]
    assert names(q="_") == []
    page = owner.http.get(DEVICES, params={"limit": 2}).json()
    assert [device["device_id"] for device in page["items"]] == ["c-tablet", "b-phone"]
    rest = owner.http.get(DEVICES, params={"limit": 2, "after": page["next"]}).json()
    assert ([device["device_id"] for device in rest["items"]], rest["next"]) == (["a-phone"], None)
    one = owner.http.get(f"{DEVICES}/{ben.device['id']}").json()
    assert one == page["items"][1]
    assert owner.http.get(DEVICES, params={"status": "lost"}).json()["code"] == "invalid_parameter"
    assert owner.http.get(DEVICES, params={"user_id": "ann"}).json()["code"] == "invalid_parameter"


def test_refused_decisions(owner: Person, worker: Person) -> None:
    assert worker.device is not None
    path = f"{DEVICES}/{worker.device['id']}"
    bodies: list[dict[str, Any]] = [
        {},
        {"reason": "why"},
        {"status": "lost"},
        {"status": None},
        {"trust_score": 1.0},
        {"device_id": "other"},
    ]
    answers = [owner.http.patch(path, json=body) for body in bodies]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "invalid_envelope")] * 6
    assert owner.http.get(path).json() == worker.device


def test_nobodys_device(owner: Person) -> None:
    for method in ("GET", "PATCH"):
        answer = owner.http.request(
            method,
            f"{DEVICES}/8e6d4d4e-6a53-4c69-9f0e-3c0b5a1f3a10",
            json={"status": "revoked"} if method == "PATCH" else None,
        )
        assert refused(answer) == (404, "not_found", "stop")
