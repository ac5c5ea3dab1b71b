"""Registering a device as specification 4 spells it, and what is known of how devices are used."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

REGISTER = "/api/v1/mobile/auth/register-device"
AS_SPECIFIED = "/api/mobile/auth/register-device"


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


def rows(settings: Settings, query: str, *params: Any) -> list[tuple[Any, ...]]:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute(query, params).fetchall()  # type: ignore[arg-type]


def asked(device: str, **changed: Any) -> dict[str, Any]:
    return {"deviceId": device, "platform": "ios", "pushToken": "ab" * 32, "appVersion": "1.4.0"} | changed


def session(settings: Settings, device: str) -> tuple[Any, ...]:
    (row,) = rows(
        settings,
        "SELECT u.username, s.platform, s.app_version, s.created_at, s.last_active FROM homing.mobile_sessions s"
        " JOIN homing.users u ON u.id = s.user_id WHERE s.device_id = %s",
        device,
    )
    return row


@pytest.mark.parametrize("address", [REGISTER, AS_SPECIFIED])
def test_one_call_registers_device_session_and_push_token(
    settings: Settings, new_person: SignIn, sign_in: SignIn, address: str
) -> None:
    name = f"phone-{address.count('/')}"
    ada = new_person(f"ada-{name}")
    answer = ada.http.post(address, json=asked(name))
    found = answer.json()
    assert (answer.status_code, found) == (
        200,
        {
            "deviceId": name,
            "platform": "ios",
            "appVersion": "1.4.0",
            "lastActive": found["lastActive"],
            "createdAt": found["lastActive"],
        },
    )
    ada.refresh()
    device = ada.http.get("/api/v1/auth/me").json()["device"]
    assert (device["device_id"], device["device_type"], device["app_version"], device["has_push_token"]) == (
        name,
        "ios",
        "1.4.0",
        True,
    )
    assert rows(
        settings,
        "SELECT t.provider, t.address FROM homing.push_tokens t JOIN homing.mobile_devices d ON d.id = t.device_id"
        " WHERE d.device_id = %s",
        name,
    ) == [("apns", "ab" * 32)]


def test_again_it_is_brought_up_to_date(settings: Settings, new_person: SignIn) -> None:
    """The same row, newer; without a push token the one it has stays, and so does what only the other call tells."""
    bea = new_person("bea", device_id="beas-phone")
    first = bea.http.post(REGISTER, json=asked("beas-phone")).json()
    second = bea.http.post(REGISTER, json=asked("beas-phone", appVersion="1.5.0", pushToken=None)).json()
    assert second == {**first, "appVersion": "1.5.0", "lastActive": second["lastActive"]}
    assert second["lastActive"] > first["lastActive"]
    device = bea.http.get("/api/v1/auth/me").json()["device"]
    assert (device["os_version"], device["app_version"], device["has_push_token"]) == ("1", "1.5.0", True)
    assert session(settings, "beas-phone")[:3] == ("bea", "ios", "1.5.0")


def test_a_device_that_changes_hands_begins_a_new_session(settings: Settings, new_person: SignIn) -> None:
    cleo = new_person("cleo")
    cleo.http.post(REGISTER, json=asked("shared"))
    before = session(settings, "shared")
    dora = new_person("dora")
    dora.http.post(REGISTER, json=asked("shared", platform="android", pushToken="fcm:1"))
    after = session(settings, "shared")
    assert (before[:3], after[:3]) == (("cleo", "ios", "1.4.0"), ("dora", "android", "1.4.0"))
    assert after[3] > before[3]


def test_every_registered_device_has_one(settings: Settings, worker: Person) -> None:
    assert session(settings, "wims-phone")[:3] == ("wim", "test", "1.0.0")


def test_activity_is_written_by_signing_in_and_refreshing_only(
    settings: Settings, new_person: SignIn, sign_in: SignIn
) -> None:
    eve = new_person("eve", device_id="eves-phone")
    browser = sign_in("eve")
    said = "SELECT last_platform, updated_at FROM homing.users WHERE username = 'eve'"
    ((platform, updated_at),) = rows(settings, said)
    assert platform == "web"
    registered = session(settings, "eves-phone")[4]
    assert eve.http.get("/api/v1/auth/me").status_code == 200
    assert session(settings, "eves-phone")[4] == registered
    eve.refresh()
    refreshed = session(settings, "eves-phone")[4]
    assert refreshed > registered
    # Seen on the other platform; that is not a change of the user.
    assert rows(settings, said) == [("mobile", updated_at)]
    browser.refresh()
    assert rows(settings, said) == [("web", updated_at)]
    assert session(settings, "eves-phone")[4] == refreshed
    sign_in("eve", device_id="eves-phone")
    assert session(settings, "eves-phone")[4] > refreshed


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"deviceId": ""}, "invalid_envelope"),
    ({"deviceId": "phöne"}, "invalid_envelope"),
    ({"platform": "windows"}, "invalid_envelope"),
    ({"platform": None}, "invalid_envelope"),
    ({"appVersion": "1" * 21}, "invalid_envelope"),
    ({"appVersion": 3}, "invalid_envelope"),
    ({"pushToken": ""}, "invalid_envelope"),
    ({"pushToken": "a b"}, "invalid_envelope"),
    ({"deviceFingerprint": "x" * 513}, "invalid_envelope"),
    ({"deviceFingerprint": ""}, "invalid_envelope"),
    ({"deviceFingerprint": "a\0b"}, "invalid_json"),
]


def test_refused_registrations(settings: Settings, new_person: SignIn, server: Server) -> None:
    fay = new_person("fay")
    found = [
        (changed, fay.http.post(REGISTER, json=asked("fays-phone", **changed)).json()["code"]) for changed, _ in REFUSED
    ]
    assert found == REFUSED
    assert rows(settings, "SELECT FROM homing.mobile_devices WHERE device_id = 'fays-phone'") == []
    assert fay.http.post(REGISTER, json=asked("fays-phone"), headers={"authorization": ""}).status_code == 401
    other = new_person("gus", device_id="guss-phone")
    assert other.http.post(REGISTER, json=asked("another-phone")).json()["code"] == "device_mismatch"
