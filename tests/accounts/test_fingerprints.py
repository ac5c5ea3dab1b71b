"""Device fingerprints: told anywhere, kept as a hash, and what another one does."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from homing.accounts.fingerprints import hashed
from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD, Person, SignIn
from tests.fixtures.server import Server

DEVICES = "/api/v1/mobile/devices"
KEY = b"k" * 32


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


def kept(settings: Settings, device: str) -> bytes | None:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        row = conn.execute("SELECT fingerprint FROM homing.mobile_devices WHERE device_id = %s", [device]).fetchone()
    assert row is not None
    found: bytes | None = row[0]
    return found


def events(owner: Person, person: Person) -> list[tuple[str, Any, dict[str, Any]]]:
    assert person.device is not None
    page = owner.http.get(f"{DEVICES}/{person.device['id']}/events").json()
    assert page["next"] is None
    return [(event["kind"], event["user_id"], event["details"]) for event in page["items"]]


def trust_of(owner: Person, person: Person) -> tuple[float, list[str]]:
    assert person.device is not None
    device = owner.http.get(f"{DEVICES}/{person.device['id']}").json()
    return device["trust_score"], [reason["reason"] for reason in device["trust_reasons"]]


def sign_in_with(server: Server, person: Person, fingerprint: str | None) -> None:
    body = {"login": person.user["username"], "password": PASSWORD, "device_id": person.device_id}
    answer = httpx.post(f"{server.url}/api/v1/auth/login", json={**body, "device_fingerprint": fingerprint}, timeout=30)
    assert answer.status_code == 200, answer.text
    person.use(answer.json())


def refresh_with(person: Person, fingerprint: str) -> None:
    body = {"refresh_token": person.tokens["refresh_token"], "device_fingerprint": fingerprint}
    answer = person.http.post("/api/v1/auth/refresh", json=body)
    assert answer.status_code == 200, answer.text
    person.use(answer.json())


def register_with(person: Person, fingerprint: str) -> None:
    body = {"deviceId": person.device_id, "platform": "ios", "appVersion": "1.0.0", "deviceFingerprint": fingerprint}
    answer = person.http.post("/api/v1/mobile/auth/register-device", json=body)
    assert answer.status_code == 200, answer.text


def lowered(where: str, who: Person) -> list[tuple[str, Any, dict[str, Any]]]:
    """What another fingerprint leaves, the newest first."""
    return [
        ("trust_lowered", None, {"reason": "fingerprint_changed", "score": 0.4}),
        ("fingerprint_changed", who.id, {"where": where}),
        ("registered", who.id, {}),
    ]


@pytest.mark.parametrize("where", ["sign_in", "refresh", "registration"])
def test_another_machine_is_noticed_wherever_it_shows(
    server: Server, owner: Person, new_person: SignIn, where: str
) -> None:
    """The first is believed, the same one changes nothing, another one lowers the trust and leaves an event."""

    def tell(fingerprint: str) -> None:
        match where:
            case "sign_in":
                sign_in_with(server, person, fingerprint)
            case "refresh":
                refresh_with(person, fingerprint)
            case _:
                register_with(person, fingerprint)

    person = new_person(f"ada-{where}", device_id=f"phone-{where}")
    tell("machine 1")
    tell("machine 1")
    assert (trust_of(owner, person), events(owner, person)) == ((1.0, []), [("registered", person.id, {})])
    tell("machine 2")
    assert (trust_of(owner, person), events(owner, person)) == (
        (0.4, ["fingerprint_changed"]),
        lowered(where, person),
    )
    # The other one is what it has now: again it is no news, and what it had before is.
    tell("machine 2")
    assert events(owner, person) == lowered(where, person)
    tell("machine 1")
    assert events(owner, person) == [("fingerprint_changed", person.id, {"where": where}), *lowered(where, person)]
    assert trust_of(owner, person) == (0.4, ["fingerprint_changed"])


def test_who_says_nothing_is_not_compared(server: Server, owner: Person, new_person: SignIn) -> None:
    person = new_person("quiet", device_id="quiet-phone")
    register_with(person, "machine 1")
    sign_in_with(server, person, None)
    person.refresh()
    assert trust_of(owner, person) == (1.0, [])


def test_only_a_keyed_hash_is_kept(server: Server, settings: Settings, owner: Person, new_person: SignIn) -> None:
    """Neither the column nor the metadata nor any answer has what the app told; the same machine hashes alike."""
    person, other = new_person("hash", device_id="hash-phone"), new_person("hash2", device_id="hash-phone-2")
    told = "model=X1;serial=4711"
    body = {"device_id": "hash-phone", "device_type": "ios", "app_version": "1.0.0"}
    metadata = {"model": "X1", "fingerprint": told}
    answer = person.http.post(DEVICES, json={**body, "metadata": metadata})
    assert (answer.status_code, answer.json()["metadata"]) == (200, {"model": "X1"})
    assert answer.json()["fingerprint_at"].endswith("Z")
    assert told not in answer.text
    register_with(other, told)
    assert (
        kept(settings, "hash-phone") == kept(settings, "hash-phone-2") == hashed(server.tenant.keys.recognising, told)
    )
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        found = conn.execute(
            "SELECT count(*) FROM homing.mobile_devices d WHERE d::text LIKE '%%4711%%'"
            " OR encode(d.fingerprint, 'hex') = encode(sha256(%s::bytea), 'hex')",
            [told.encode()],
        ).fetchone()
    assert found == (0,)


def test_another_key_is_another_hash() -> None:
    assert hashed(KEY, "a") != hashed(b"j" * 32, "a")
    assert hashed(KEY, "a") != hashed(KEY, "b")
    assert hashed(KEY, {"b": 1, "a": 2}) == hashed(KEY, {"a": 2, "b": 1})
    assert len(hashed(KEY, "")) == 32


def test_a_device_of_somebody_else_is_not_touched(server: Server, owner: Person, new_person: SignIn) -> None:
    """Who signs in with another's device name changes nothing about that device."""
    victim, thief = new_person("victim", device_id="victims-phone"), new_person("thief")
    register_with(victim, "machine 1")
    body = {"login": "thief", "password": PASSWORD, "device_id": "victims-phone", "device_fingerprint": "machine 2"}
    assert httpx.post(f"{server.url}/api/v1/auth/login", json=body, timeout=30).status_code == 200
    assert trust_of(owner, victim) == (1.0, [])
    assert thief.id not in str(events(owner, victim))


def test_the_office_reads_the_events_and_nobody_else(owner: Person, new_person: SignIn) -> None:
    person = new_person("page", device_id="page-phone")
    assert person.device is not None
    path = f"{DEVICES}/{person.device['id']}"
    for status in ("suspended", "active"):
        assert owner.http.patch(path, json={"status": status, "reason": "lost?"}).status_code == 200
    assert owner.http.patch(path, json={"trust_reset": True, "reason": "found"}).status_code == 200
    found, after = [], None
    while True:
        page = owner.http.get(f"{path}/events", params={"limit": 2} | ({"after": after} if after else {})).json()
        assert "items" in page, page
        found += page["items"]
        if (after := page["next"]) is None:
            break
    assert [(event["kind"], event["user_id"], event["details"]) for event in found] == [
        ("trust_reset", owner.id, {"reason": "found"}),
        ("status_changed", owner.id, {"status": "active", "reason": "lost?"}),
        ("status_changed", owner.id, {"status": "suspended", "reason": "lost?"}),
        ("registered", person.id, {}),
    ]
    assert person.http.get(f"{path}/events").json()["code"] == "forbidden"
    nowhere = "00000000-0000-0000-0000-000000000000"
    assert owner.http.get(f"{DEVICES}/{nowhere}/events").json()["code"] == "not_found"
