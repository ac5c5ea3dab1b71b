"""Users, as the office keeps them."""

import threading
from typing import Any

import httpx
import pytest

from homing.accounts import users
from homing.accounts.users import NewUser
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant
from tests.fixtures.accounts import PASSWORD, Person, SignIn, login
from tests.fixtures.server import Server

USERS = "/api/v1/users"


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["code"], answer.json()["detail"]


def test_create(server: Server, owner: Person) -> None:
    answer = owner.http.post(
        USERS, json={"login": "Ben@Example.org", "name": " Ben ", "role": "WORKER", "password": PASSWORD}
    )
    ben = answer.json()
    assert (answer.status_code, ben) == (
        201,
        {
            "id": ben["id"],
            "username": "Ben@Example.org",
            "email": "Ben@Example.org",
            "name": "Ben",
            "role": "WORKER",
            "user_type": "web",
            "is_active": True,
            "online_status": False,
            "device_id": None,
            "enrolled_at": None,
            "has_password": True,
            "last_login_at": None,
            "last_seen": None,
            "created_at": ben["created_at"],
            "updated_at": ben["created_at"],
        },
    )
    assert login(server, "ben@example.org").status_code == 200
    bare = owner.http.post(USERS, json={"login": "cora", "name": "Cora", "role": "WORKER"}).json()
    assert (bare["username"], bare["email"], bare["has_password"]) == ("cora", None, False)
    assert login(server, "cora", password="").status_code == 401


LOGIN = "login must be an e-mail address or a name of 1 to 255 characters without spaces - at `$.login`"
NAME = "name must have 1 to 100 printable characters - at `$.name`"
ROLE = "role must be one of OWNER, WORKER - at `$.role`"
REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"login": "OLGA@example.org"}, 409, "already_exists", "A user with this login exists already."),
    ({"login": "a b"}, 422, "invalid_envelope", LOGIN),
    ({"login": "x" * 256}, 422, "invalid_envelope", LOGIN),
    ({"login": "olga@"}, 422, "invalid_envelope", LOGIN),
    ({"name": ""}, 422, "invalid_envelope", NAME),
    ({"name": "a\u202eb"}, 422, "invalid_envelope", NAME),
    ({"role": "ADMIN"}, 422, "invalid_envelope", ROLE),
    ({"role": "owner"}, 422, "invalid_envelope", ROLE),
    ({"password": "short"}, 422, "invalid_envelope", "password must have 8 to 1000 characters - at `$.password`"),
    (
        {"password": "password123"},
        422,
        "invalid_envelope",
        "password is among the first that anybody would try - at `$.password`",
    ),
    ({"is_active": True}, 422, "invalid_envelope", "Object contains unknown field `is_active`"),
    ({"id": "1"}, 422, "invalid_envelope", "Object contains unknown field `id`"),
]


def test_refused(owner: Person) -> None:
    body = {"login": "dora", "name": "Dora", "role": "WORKER"}
    found = [(change, *refused(owner.http.post(USERS, json=body | change))) for change, *_ in REFUSED]
    assert found == REFUSED
    assert [user["username"] for user in owner.http.get(USERS).json()["items"]] == ["olga@example.org"]
    assert owner.http.post(USERS, json=body).status_code == 201


def test_ten_at_once_make_one_user(server: Server, owner: Person) -> None:
    barrier = threading.Barrier(10)
    statuses: list[int] = []

    def create(n: int) -> None:
        with httpx.Client(base_url=server.url, headers=owner.http.headers, timeout=60) as client:
            barrier.wait()
            login = "ella@example.org" if n % 2 else "ELLA@example.org"
            statuses.append(client.post(USERS, json={"login": login, "name": "Ella", "role": "WORKER"}).status_code)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 9


def test_list_and_filters(owner: Person, new_person: SignIn) -> None:
    new_person("zoe", role="OWNER")
    new_person("adam@example.org")

    def names(**query: str) -> list[str]:
        return [user["username"] for user in owner.http.get(USERS, params=query).json()["items"]]

    assert names() == ["adam@example.org", "olga@example.org", "zoe"]
    assert names(role="OWNER") == ["olga@example.org", "zoe"]
    assert names(role="NOBODY") == []
    assert names(q="EXAMPLE") == ["adam@example.org", "olga@example.org"]
    assert names(q="%") == []
    assert names(user_type="mobile") == []
    assert names(user_type="web", role="WORKER", q="ada") == ["adam@example.org"]


def test_change(server: Server, owner: Person, worker: Person) -> None:
    path = f"{USERS}/{worker.id}"
    changed = owner.http.patch(path, json={"name": "Wilhelm"}).json()
    assert changed == {**worker.user, "name": "Wilhelm", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > worker.user["updated_at"]
    assert worker.http.get("/api/v1/auth/me").json()["user"]["name"] == "Wilhelm"

    assert owner.http.patch(path, json={"is_active": False}).json()["is_active"] is False
    assert worker.http.get("/api/v1/auth/me").json()["code"] == "unauthenticated"
    assert login(server, "wim").status_code == 401
    refreshed = worker.http.post("/api/v1/auth/refresh", json={"refresh_token": worker.tokens["refresh_token"]})
    assert refreshed.json()["code"] == "invalid_refresh_token"

    assert owner.http.patch(path, json={"is_active": True, "role": "OWNER"}).json()["role"] == "OWNER"
    assert login(server, "wim").json()["user"]["role"] == "OWNER"
    # Being let in again does not bring back what was ended.
    assert worker.http.get("/api/v1/auth/me").json()["code"] == "unauthenticated"


def test_a_new_role_counts_at_once(owner: Person, worker: Person) -> None:
    """The old access token ends; the refresh brings one with the new role."""
    assert worker.http.get(USERS).json()["code"] == "forbidden"
    owner.http.patch(f"{USERS}/{worker.id}", json={"role": "OWNER"})
    assert worker.http.get(USERS).json()["code"] == "unauthenticated"
    worker.refresh()
    assert worker.http.get(USERS).status_code == 200
    owner.http.patch(f"{USERS}/{worker.id}", json={"role": "WORKER"})
    assert worker.http.get(USERS).json()["code"] == "unauthenticated"
    worker.refresh()
    assert worker.http.get(USERS).json()["code"] == "forbidden"


def test_a_new_password_ends_all_sessions(server: Server, owner: Person, worker: Person) -> None:
    path = f"{USERS}/{worker.id}"
    assert refused(owner.http.patch(path, json={"password": "wim"}))[1] == "invalid_envelope"
    assert worker.http.get("/api/v1/auth/me").status_code == 200
    assert owner.http.patch(path, json={"password": "another horse battery"}).status_code == 200
    assert worker.http.get("/api/v1/auth/me").json()["code"] == "unauthenticated"
    assert login(server, "wim").status_code == 401
    assert login(server, "wim", password="another horse battery").status_code == 200


def test_the_last_owner_stays(owner: Person) -> None:
    last = (409, "state_conflict", "This is the last active owner; make another one first.")
    for change in ({"is_active": False}, {"role": "WORKER"}):
        assert refused(owner.http.patch(f"{USERS}/{owner.id}", json=change)) == last
    assert owner.http.get(USERS).status_code == 200


def test_two_owners_who_remove_each_other_at_once_leave_one(server: Server, owner: Person, new_person: SignIn) -> None:
    otto = new_person("otto", role="OWNER")
    barrier = threading.Barrier(2)
    statuses: list[int] = []

    def remove(who: Person, whom: Person) -> None:
        barrier.wait()
        statuses.append(who.http.patch(f"{USERS}/{whom.id}", json={"is_active": False}).status_code)

    threads = [threading.Thread(target=remove, args=pair) for pair in ((owner, otto), (otto, owner))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The loser is told that it is the last one's turn, or that it is signed out already.
    assert statuses.count(200) == 1
    assert sorted(statuses)[1] in (401, 409)
    left = [who for who in (owner, otto) if who.http.get("/api/v1/auth/me").status_code == 200]
    assert len(left) == 1


def test_nobody(owner: Person) -> None:
    answer = owner.http.patch(f"{USERS}/8e6d4d4e-6a53-4c69-9f0e-3c0b5a1f3a10", json={"name": "Nobody"})
    assert refused(answer)[:2] == (404, "not_found")


@pytest.mark.anyio
async def test_roles_are_those_that_applications_declare(tenant: Tenant) -> None:
    assert tenant.roles == {"OWNER", "WORKER"}
    with pytest.raises(Problem):
        await users.create(tenant.database, NewUser(login="a", name="A", role="DRIVER"), roles=tenant.roles)
    driver = await users.create(
        tenant.database, NewUser(login="a", name="A", role="DRIVER"), roles={*tenant.roles, "DRIVER"}
    )
    assert driver.role == "DRIVER"
