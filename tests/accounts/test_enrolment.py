"""Enrolment through HTTP: the office makes tokens, phones take them; what everybody is told, and is not."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from homing.protocol.enrolment import grouped, read_link
from homing.settings import Settings
from tests.accounts.enrolling import ENROLLMENTS, GONE, code, complete, details, made, other_secret, rows, state
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server, serving


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def test_the_whole_answer_to_whoever_makes_a_token(server: Server, owner: Person) -> None:
    before = datetime.now(UTC)
    token = made(owner, role="WORKER")
    fingerprint = next(iter(server.tenant.keys.identities))
    url = f"{server.url}{ENROLLMENTS}/{token['id']}"
    assert token == {
        "id": token["id"],
        "token": f"{token['id']}.{token['secret']}",
        "handle": token["id"],
        "secret": token["secret"],
        "manual_code": grouped(token["secret"]),
        "tenant": "default",
        "role": "WORKER",
        "username": None,
        "expires_at": token["expires_at"],
        "url": url,
        "deep_link": token["deep_link"],
        "qr_svg": token["qr_svg"],
        "qr_svg_url": token["qr_svg_url"],
        "qr_png_url": token["qr_png_url"],
        "fingerprint": fingerprint,
    }
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{28}", token["secret"])
    lasts = datetime.fromisoformat(token["expires_at"]) - before
    assert timedelta(minutes=59) < lasts < timedelta(minutes=61)
    invitation = read_link(token["deep_link"])
    assert (invitation.url, invitation.tenant, str(invitation.token), invitation.fingerprint) == (
        server.url,
        "default",
        token["token"],
        fingerprint,
    )


def test_how_long_a_token_holds(owner: Person, settings: Settings, servers: Callable[[Settings], Server]) -> None:
    for seconds in (60, 600, 86_400):
        token = made(owner, expires_in=seconds)
        lasts = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
        assert abs(lasts.total_seconds() - seconds) < 30
    for seconds in (59, 86_401, -1, "600"):
        assert code(owner.http.post(ENROLLMENTS, json={"expires_in": seconds})) == (422, "invalid_envelope")
    careful = servers(Settings(database_url=settings.database_url, data_dir=settings.data_dir, enrolment_seconds=600))
    answer = owner.http.post(f"{careful.url}{ENROLLMENTS}", json={})
    lasts = datetime.fromisoformat(answer.json()["expires_at"]) - datetime.now(UTC)
    assert abs(lasts.total_seconds() - 600) < 30


def test_what_a_phone_is_told_before_it_accepts(server: Server, owner: Person) -> None:
    token = made(owner, username="ana", role="WORKER")
    answer = details(server, token["handle"], nonce="n-1")
    found = answer.json()
    assert (answer.status_code, found) == (
        200,
        {
            "token": token["handle"],
            "tenant": "default",
            "created_by": owner.id,
            "created_by_username": "olga@example.org",
            "created_by_name": "Olga",
            "role": "WORKER",
            "username": "ana",
            "expires_at": token["expires_at"],
            "fingerprint": token["fingerprint"],
            "server_key": found["server_key"],
            "proof": found["proof"],
        },
    )
    assert token["secret"] not in answer.text
    assert details(server, token["handle"]).json() == found | {"proof": None}
    assert details(server, token["token"]).json() == found | {"proof": None}
    assert details(server, token["manual_code"]).json() == found | {"proof": None}


def test_a_phone_can_tell_that_it_talks_to_the_server_in_the_code(server: Server, owner: Person) -> None:
    token = made(owner)
    found = details(server, token["token"], nonce="only-now").json()
    key = OKPKey.import_key(found["server_key"])
    assert key.thumbprint() == token["fingerprint"]
    said = jws.deserialize_compact(found["proof"], key, algorithms=["Ed25519"])
    assert said.headers() == {"alg": "Ed25519", "typ": "homing-enrolment", "kid": token["fingerprint"]}
    assert said.payload == f'{{"nonce":"only-now","token":"{token["handle"]}","tenant":"default"}}'.encode()


def test_the_whole_answer_to_the_phone(server: Server, settings: Settings, owner: Person) -> None:
    token = made(owner)
    answer = complete(
        server,
        token["token"],
        device_id="anas-phone",
        username="Ana",
        name="Ana Silva",
        device_type="Pixel 9",
        os_version="16",
        app_version="2.0",
    )
    found = answer.json()
    user, device = found["user"], found["device"]
    assert (answer.status_code, found) == (
        201,
        {
            "access_token": found["access_token"],
            "token_type": "bearer",
            "expires_in": 600,
            "refresh_token": found["refresh_token"],
            "user": user,
            "device": device,
            "tenant": "default",
        },
    )
    assert [user[name] for name in ("username", "name", "role", "user_type", "has_password", "is_active")] == [
        "Ana",
        "Ana Silva",
        "WORKER",
        "mobile",
        False,
        True,
    ]
    assert [
        device[name] for name in ("device_id", "user_id", "device_type", "os_version", "app_version", "status")
    ] == [
        "anas-phone",
        user["id"],
        "Pixel 9",
        "16",
        "2.0",
        "active",
    ]
    assert rows(
        settings,
        "SELECT user_type, device_id, enrolled_at = created_at, enrollment_token_id::text, password_hash"
        " FROM homing.users WHERE id = %s",
        user["id"],
    ) == [("mobile", "anas-phone", True, token["id"], None)]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {found['access_token']}"}) as phone:
        me = phone.get("/api/v1/auth/me").json()
        assert (me["user"]["id"], me["role"], me["device"]["id"]) == (user["id"], "WORKER", device["id"])
        assert phone.post("/api/v1/mobile/sync/pull", json={}).status_code == 200
    renewed = httpx.post(f"{server.url}/api/v1/auth/refresh", json={"refresh_token": found["refresh_token"]})
    assert renewed.status_code == 200


def test_the_office_sees_who_took_what_when(server: Server, owner: Person) -> None:
    token = made(owner, username="bea", role="OWNER", expires_in=600)
    taken = complete(server, token["token"], device_id="beas", username="bea", device_type="X", app_version="1").json()
    item = owner.http.get(ENROLLMENTS, params={"limit": 1}).json()["items"][0]
    assert item == {
        "id": token["id"],
        "token": token["handle"],
        "tenant_id": "default",
        "created_by": owner.id,
        "created_by_username": "olga@example.org",
        "role": "OWNER",
        "username": "bea",
        "state": "used",
        "created_at": item["created_at"],
        "expires_at": token["expires_at"],
        "used_at": item["used_at"],
        "device_id": "beas",
        "device_type": "X",
        "os_version": "",
        "app_version": "1",
        "user_id": taken["user"]["id"],
        "cancelled_at": None,
        "cancelled_by": None,
    }
    assert item["created_at"] < item["used_at"] < item["expires_at"]


def test_lists_are_paged_newest_first_by_creator_and_state(
    server: Server, settings: Settings, new_person: SignIn
) -> None:
    creator, other = new_person("lea", role="OWNER"), new_person("mia", role="OWNER")
    made(other)
    tokens = [made(creator)["id"] for _ in range(7)]
    creator.http.delete(f"{ENROLLMENTS}/{tokens[1]}")
    rows(settings, "UPDATE homing.enrollment_tokens SET expires_at = now() WHERE id = %s", tokens[2])
    seen, after = [], None
    while True:
        page = creator.http.get(ENROLLMENTS, params={"limit": 3} | ({"after": after} if after else {})).json()
        seen += page["items"]
        if (after := page["next"]) is None:
            break
    assert [(item["id"], item["state"]) for item in seen] == [
        (token, {1: "cancelled", 2: "expired"}.get(n, "pending")) for n, token in reversed(list(enumerate(tokens)))
    ]
    for which, expected in (("cancelled", [tokens[1]]), ("expired", [tokens[2]]), ("used", [])):
        page = creator.http.get(ENROLLMENTS, params={"state": which}).json()
        assert [item["id"] for item in page["items"]] == expected
    theirs = other.http.get(ENROLLMENTS, params={"created_by": creator.id}).json()
    assert [item["id"] for item in theirs["items"]] == tokens[::-1]
    assert all(token["secret"] not in str(seen) for token in [made(creator)])


@pytest.mark.parametrize("spelled", ["whole", "handle and secret", "handle and code", "code"])
def test_every_way_to_give_a_token(server: Server, owner: Person, spelled: str) -> None:
    token = made(owner)
    match spelled:
        case "whole":
            answer = complete(server, token["token"])
        case "handle and secret":
            answer = complete(server, token["handle"], secret=token["secret"])
        case "handle and code":
            answer = complete(server, token["handle"], secret=token["manual_code"].lower())
        case "code":
            answer = complete(server, token["manual_code"])
    assert answer.status_code == 201


def test_one_body_for_all_that_does_not_work(server: Server, settings: Settings, owner: Person) -> None:
    used, cancelled, expired, whole = made(owner), made(owner), made(owner), made(owner)
    complete(server, used["token"])
    owner.http.delete(f"{ENROLLMENTS}/{cancelled['id']}")
    rows(settings, "UPDATE homing.enrollment_tokens SET expires_at = now() WHERE id = %s", expired["id"])
    dead = [used["token"], cancelled["token"], expired["token"], f"{uuid4()}.{whole['secret']}"]
    dead += [f"{whole['handle']}.{other_secret(whole)}", other_secret(whole), "nonsense", "x" * 500]
    for token in dead:
        for answer in (details(server, token), complete(server, token)):
            assert answer.status_code == 410, token
            assert answer.json() == GONE
    assert complete(server, whole["handle"]).json() == GONE
    assert complete(server, whole["handle"], secret=other_secret(whole)).json() == GONE
    assert complete(server, whole["handle"], secret="nonsense").json() == GONE
    # And none of that cost the good one anything.
    assert complete(server, whole["token"]).status_code == 201


def test_expiry_is_by_the_databases_clock(server: Server, settings: Settings, owner: Person) -> None:
    """The server's clock may be days off; a token dies at its very microsecond."""
    late, early = made(owner), made(owner)
    rows(
        settings,
        "UPDATE homing.enrollment_tokens SET expires_at = clock_timestamp() - interval '1 us' WHERE id = %s",
        late["id"],
    )
    rows(
        settings,
        "UPDATE homing.enrollment_tokens SET expires_at = clock_timestamp() + interval '20 s' WHERE id = %s",
        early["id"],
    )
    clock = server.tenant.clock
    try:
        for days in (-3, 3):
            server.tenant.clock = lambda days=days: datetime.now(UTC) + timedelta(days=days)
            assert details(server, late["token"]).status_code == 410
            assert complete(server, late["token"]).status_code == 410
            assert details(server, early["token"]).status_code == 200
    finally:
        server.tenant.clock = clock
    assert complete(server, early["token"]).status_code == 201


def test_a_taken_username_costs_nothing_but_a_new_try(server: Server, settings: Settings, owner: Person) -> None:
    token = made(owner)
    complete(server, made(owner)["token"], username="carl", device_id="carls").raise_for_status()
    for taken in ("carl", "CARL", "olga@example.org"):
        answer = complete(server, token["token"], username=taken, device_id="new-phone")
        assert code(answer) == (409, "already_exists")
    assert state(owner, token) == "pending"
    assert rows(settings, "SELECT 1 FROM homing.mobile_devices WHERE device_id = 'new-phone'") == []
    assert complete(server, token["token"], username="carla", device_id="new-phone").status_code == 201


def test_a_token_for_one_name_is_for_no_other(server: Server, owner: Person) -> None:
    token = made(owner, username="Dora")
    assert code(complete(server, token["token"], username="dan")) == (409, "state_conflict")
    answer = complete(server, token["token"], username=None)
    assert (answer.status_code, answer.json()["user"]["username"]) == (201, "Dora")
    assert code(owner.http.post(ENROLLMENTS, json={"username": "dora"})) == (409, "already_exists")
    nameless = made(owner)
    assert code(complete(server, nameless["token"], username=None)) == (422, "invalid_envelope")
    assert state(owner, nameless) == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {"device_id": ""},
        {"device_id": "with space"},
        {"device_id": None},
        {"device_id": "x" * 201},
        {"username": "with space"},
        {"username": ""},
        {"username": "x" * 256},
        {"name": ""},
        {"device_type": 1},
        {"public_key": "nonsense"},
        {"signature": "of no key"},
        {"public_key": {"kty": "OKP", "crv": "X25519", "x": "A" * 43}},
        {"public_key": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
    ],
)
def test_what_does_not_fit_costs_nothing(server: Server, owner: Person, body: dict[str, Any]) -> None:
    token = made(owner)
    assert code(complete(server, token["token"], **body)) == (422, "invalid_envelope")
    assert state(owner, token) == "pending"


@pytest.mark.parametrize(
    "body",
    [{"role": "KING"}, {"username": "a b"}, {"username": 1}, {"expires_in": 1.5}, {"expires": 600}],
)
def test_what_no_token_can_be_made_for(owner: Person, body: dict[str, Any]) -> None:
    assert code(owner.http.post(ENROLLMENTS, json=body)) == (422, "invalid_envelope")


def test_only_the_office_makes_lists_and_cancels(server: Server, owner: Person, worker: Person) -> None:
    token = made(owner)
    assert code(worker.http.post(ENROLLMENTS, json={})) == (403, "forbidden")
    assert code(worker.http.get(ENROLLMENTS)) == (403, "forbidden")
    assert code(worker.http.delete(f"{ENROLLMENTS}/{token['id']}")) == (403, "forbidden")
    assert code(worker.http.post(f"{ENROLLMENTS}/sheet", json={"people": [{}]})) == (403, "forbidden")
    assert code(httpx.post(f"{server.url}{ENROLLMENTS}", json={})) == (401, "unauthenticated")


def test_a_cancelled_token_is_dead_and_says_who_did_it(
    server: Server, settings: Settings, owner: Person, new_person: SignIn
) -> None:
    colleague = new_person("odo", role="OWNER")
    token = made(owner)
    for _ in range(2):
        assert colleague.http.delete(f"{ENROLLMENTS}/{token['id']}").status_code == 204
    item = next(each for each in owner.http.get(ENROLLMENTS).json()["items"] if each["id"] == token["id"])
    assert (item["state"], item["cancelled_by"]) == ("cancelled", colleague.id)
    assert rows(settings, "SELECT secret_hash FROM homing.enrollment_tokens WHERE id = %s", token["id"]) == [(None,)]
    used = made(owner)
    complete(server, used["token"], device_id="used-phone")
    answer = owner.http.delete(f"{ENROLLMENTS}/{used['id']}")
    assert (*code(answer), answer.json()["device_id"]) == (409, "state_conflict", "used-phone")
    for unknown in (uuid4(), "x"):
        assert code(owner.http.delete(f"{ENROLLMENTS}/{unknown}")) == (404, "not_found")


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "WORKER"}])
def test_a_token_dies_with_its_makers_right_to_make_it(
    server: Server, owner: Person, new_person: SignIn, change: dict[str, Any]
) -> None:
    maker = new_person(f"maker-{uuid4().hex[:6]}", role="OWNER")
    token = made(maker)
    assert details(server, token["token"]).status_code == 200
    assert owner.http.patch(f"/api/v1/users/{maker.id}", json=change).status_code == 200
    assert details(server, token["token"]).json() == GONE
    assert complete(server, token["token"]).json() == GONE
    listed = owner.http.get(ENROLLMENTS, params={"created_by": maker.id}).json()["items"]
    assert [item["state"] for item in listed] == ["expired"]


def test_deleting_the_maker_keeps_the_people(server: Server, settings: Settings, new_person: SignIn) -> None:
    maker = new_person("max", role="OWNER")
    made(maker)
    user = complete(server, made(maker)["token"]).json()["user"]["id"]
    rows(settings, "DELETE FROM homing.users WHERE id = %s", maker.id)
    assert rows(settings, "SELECT enrollment_token_id FROM homing.users WHERE id = %s", user) == [(None,)]
    assert rows(settings, "SELECT 1 FROM homing.enrollment_tokens WHERE created_by = %s", maker.id) == []


def test_a_lost_answer_comes_again_to_the_same_device_alone(server: Server, owner: Person) -> None:
    token = made(owner)
    body = {"device_id": "eves-phone", "username": "eve", "nonce": "n-1"}
    first = complete(server, token["token"], **body)
    again = complete(server, token["token"], **body, app_version="2")
    assert (first.status_code, again.status_code) == (201, 200)
    for answer in (first, again):
        assert answer.json()["refresh_token"] == first.json()["refresh_token"]
        assert answer.json()["user"] == first.json()["user"]
    for other in ({"device_id": "another"}, {"nonce": "n-2"}, {"nonce": None}, {"username": "eva"}):
        assert complete(server, token["token"], **body | other).json() == GONE
    # Once the first refresh showed that the answer arrived, it is given to nobody any more.
    refresh = {"refresh_token": first.json()["refresh_token"]}
    assert httpx.post(f"{server.url}/api/v1/auth/refresh", json=refresh).status_code == 200
    assert complete(server, token["token"], **body).json() == GONE


def test_a_lost_answer_stays_lost_after_the_token_expired_or_the_device_was_revoked(
    server: Server, settings: Settings, owner: Person
) -> None:
    for n, end in enumerate(("expired", "revoked", "deactivated")):
        token = made(owner)
        body = {"device_id": f"faded-{n}", "username": f"fay-{n}"}
        taken = complete(server, token["token"], **body).json()
        assert complete(server, token["token"], **body).status_code == 200
        match end:
            case "expired":
                rows(settings, "UPDATE homing.enrollment_tokens SET expires_at = now() WHERE id = %s", token["id"])
            case "revoked":
                owner.http.patch(f"/api/v1/mobile/devices/{taken['device']['id']}", json={"status": "revoked"})
            case "deactivated":
                owner.http.patch(f"/api/v1/users/{taken['user']['id']}", json={"is_active": False})
        assert complete(server, token["token"], **body).json() == GONE


def test_a_revoked_device_is_not_let_in_again_by_a_token(server: Server, owner: Person) -> None:
    first = complete(server, made(owner)["token"], device_id="barred").json()
    owner.http.patch(f"/api/v1/mobile/devices/{first['device']['id']}", json={"status": "revoked"})
    token = made(owner)
    assert code(complete(server, token["token"], device_id="barred")) == (403, "device_revoked")
    assert state(owner, token) == "pending"
    assert complete(server, token["token"], device_id="another-one").status_code == 201


def test_a_phone_that_changes_hands_belongs_to_the_new_person(server: Server, owner: Person) -> None:
    first = complete(server, made(owner)["token"], device_id="handed-on").json()
    second = complete(server, made(owner)["token"], device_id="handed-on").json()
    assert second["device"]["id"] == first["device"]["id"]
    assert second["device"]["user_id"] == second["user"]["id"] != first["user"]["id"]
    old = httpx.get(f"{server.url}/api/v1/auth/me", headers={"authorization": f"Bearer {first['access_token']}"})
    assert code(old) == (401, "unauthenticated")
