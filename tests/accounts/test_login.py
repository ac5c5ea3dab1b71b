"""Signing in and out through HTTP."""

import statistics
import threading
import time
from typing import Any

import argon2
import bcrypt
import httpx
import psycopg
import pytest

from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD, Person, SignIn, create_user, login
from tests.fixtures.server import Server

WRONG = {
    "type": "/docs/errors#invalid_credentials",
    "title": "Wrong login or password",
    "status": 401,
    "detail": "One answer for an unknown login, a wrong password and an inactive user.",
    "code": "invalid_credentials",
    "action": "login",
}


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


def stored_hash(settings: Settings, username: str) -> str:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        row = conn.execute("SELECT password_hash FROM homing.users WHERE username = %s", [username]).fetchone()
    assert row is not None
    return str(row[0])


def store_hash(settings: Settings, username: str, value: str) -> None:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("UPDATE homing.users SET password_hash = %s WHERE username = %s", [value, username])


def test_the_whole_answer(server: Server, settings: Settings) -> None:
    user_id = create_user(settings.database_url or "", "Ada@Example.org", "OWNER", name="Ada L.")
    answer = login(server, "Ada@Example.org")
    assert answer.status_code == 200
    body = answer.json()
    user = body["user"]
    assert body == {
        "access_token": body["access_token"],
        "token_type": "bearer",
        "expires_in": 600,
        "refresh_token": body["refresh_token"],
        "user": {
            "id": str(user_id),
            "username": "Ada@Example.org",
            "email": "Ada@Example.org",
            "name": "Ada L.",
            "role": "OWNER",
            "user_type": "web",
            "is_active": True,
            "online_status": False,
            "device_id": None,
            "enrolled_at": None,
            "has_password": True,
            "last_login_at": user["last_login_at"],
            "last_seen": None,
            "created_at": user["created_at"],
            "updated_at": user["updated_at"],
        },
    }
    assert user["last_login_at"].endswith("Z")
    assert body["refresh_token"].startswith("hr_")
    assert len(body["refresh_token"]) == 3 + 43


def test_who_one_is(owner: Person, worker: Person) -> None:
    browser = owner.http.get("/api/v1/auth/me").json()
    assert browser == {
        "user": {**owner.user, "updated_at": browser["user"]["updated_at"]},
        "role": "OWNER",
        "device": None,
        "tenant": "default",
        "apps": [{"name": "fieldwork", "title": "Field data collection"}],
    }
    phone = worker.http.get("/api/v1/auth/me").json()
    assert (phone["role"], phone["device"]) == ("WORKER", worker.device)


@pytest.mark.parametrize("typed", ["grace@example.org", "GRACE@example.ORG"])
def test_logins_have_no_case(
    server: Server, settings: Settings, sign_in: SignIn, new_person: SignIn, typed: str
) -> None:
    new_person("Grace@Example.org")
    assert sign_in(typed).user["username"] == "Grace@Example.org"


def test_every_failure_is_one_answer(server: Server, settings: Settings) -> None:
    """Unknown, wrong, inactive, and without a password: whoever asks cannot tell which."""
    url = settings.database_url or ""
    create_user(url, "known", "WORKER")
    create_user(url, "bare", "WORKER", password=None)
    gone = create_user(url, "gone", "WORKER")
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE homing.users SET is_active = false WHERE id = %s", [gone])
    for username, password in [
        ("nobody@example.org", PASSWORD),
        ("known", "not it"),
        ("gone", PASSWORD),
        ("bare", PASSWORD),
        ("bare", ""),
    ]:
        answer = login(server, username, password=password)
        assert (answer.status_code, answer.json(), answer.headers["www-authenticate"]) == (401, WRONG, "Bearer")
    assert login(server, "known").status_code == 200


def test_unknown_logins_cost_the_same_work(server: Server, settings: Settings) -> None:
    """The medians of known and unknown logins are closer to each other than either is to an answer without hashing."""
    create_user(settings.database_url or "", "tim", "WORKER")

    def seconds(username: str) -> float:
        began = time.perf_counter()
        assert login(server, username, password="not the password").status_code == 401
        return time.perf_counter() - began

    known, unknown = [], []
    for n in range(8):
        known.append(seconds("tim"))
        unknown.append(seconds(f"nobody-{n}"))
    one, other = statistics.median(known), statistics.median(unknown)
    assert 0.4 < one / other < 2.5
    assert min(known + unknown) > 0.01


def test_a_bcrypt_hash_from_elsewhere_works_once_and_is_then_argon2(server: Server, settings: Settings) -> None:
    create_user(settings.database_url or "", "old", "WORKER")
    long_password = "a passphrase that is longer than the seventy-two bytes that bcrypt ever looks at, by far"
    old = bcrypt.hashpw(long_password.encode()[:72], bcrypt.gensalt(4)).decode()
    for prefix in ("$2a$", "$2b$", "$2y$"):
        store_hash(settings, "old", prefix + old[4:])
        assert login(server, "old", password="x" * 80).json() == WRONG
        assert stored_hash(settings, "old").startswith(prefix)
        assert login(server, "old", password=long_password).status_code == 200
        assert stored_hash(settings, "old").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert login(server, "old", password=long_password).status_code == 200
        # The whole passphrase counts from now on, not its first 72 bytes.
        assert login(server, "old", password=long_password[:72]).json() == WRONG


def test_a_weaker_argon2_hash_is_made_anew(server: Server, settings: Settings) -> None:
    create_user(settings.database_url or "", "weak", "WORKER")
    store_hash(settings, "weak", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD))
    assert login(server, "weak").status_code == 200
    assert stored_hash(settings, "weak").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_same_password_from_another_keyboard(server: Server, settings: Settings) -> None:
    create_user(settings.database_url or "", "émile", "WORKER", password="caf\u00e9 au lait")
    assert login(server, "e\u0301mile ", password="cafe\u0301 au lait").status_code == 200


def test_too_many_failures_wait(server: Server, settings: Settings) -> None:
    """Known or not: ten tries, then a 429 that says how long. The right password does not get past it."""
    create_user(settings.database_url or "", "guessed", "WORKER")
    for username in ("guessed", "guessed-nobody"):
        answers = [login(server, username.upper() if n % 2 else username, password=f"guess {n}") for n in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429]
        problem = answers[-1].json()
        assert (problem["code"], problem["action"]) == ("rate_limited", "retry")
        # Less what the tries took: hashes are slow, and a machine may be busy.
        assert 60 <= int(answers[-1].headers["retry-after"]) <= 320
    assert login(server, "guessed").status_code == 429


def test_guesses_at_once_are_as_many_as_one_after_the_other(server: Server, settings: Settings) -> None:
    create_user(settings.database_url or "", "rushed", "WORKER")
    barrier = threading.Barrier(25)
    statuses: list[int] = []

    def guess(n: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            barrier.wait()
            answer = client.post("/api/v1/auth/login", json={"login": "rushed", "password": f"guess {n}"})
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 10 + [429] * 15


def test_signing_in_rightly_never_counts(server: Server, settings: Settings) -> None:
    create_user(settings.database_url or "", "busy", "WORKER")
    assert [login(server, "busy").status_code for _ in range(15)] == [200] * 15


def test_logging_out_ends_the_session_and_no_other(server: Server, new_person: SignIn, sign_in: SignIn) -> None:
    here, there = new_person("lena"), sign_in("lena")
    answer = here.http.post("/api/v1/auth/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert here.http.get("/api/v1/auth/me").json()["code"] == "unauthenticated"
    refreshed = here.http.post("/api/v1/auth/refresh", json={"refresh_token": here.tokens["refresh_token"]})
    assert (refreshed.status_code, refreshed.json()["code"]) == (401, "invalid_refresh_token")
    assert there.http.get("/api/v1/auth/me").status_code == 200
    there.refresh()


def test_nothing_secret_is_stored(settings: Settings, new_person: SignIn) -> None:
    """Neither tokens nor the password can be read from a copy of the database."""
    person = new_person("sam", device_id="sams-phone")
    first = person.tokens
    person.refresh()
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        tables = conn.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema = 'homing' AND table_type = 'BASE TABLE'"
        ).fetchall()
        dump = "".join(
            str(
                conn.execute(
                    psycopg.sql.SQL("SELECT t::text FROM {} t").format(psycopg.sql.Identifier(schema, table))
                ).fetchall()
            )
            for schema, table in tables
        )
    assert "sams-phone" in dump
    secrets: list[Any] = [PASSWORD]
    for tokens in (first, person.tokens):
        secrets += [tokens["access_token"], tokens["refresh_token"], tokens["refresh_token"][3:]]
    assert [secret for secret in secrets if secret in dump] == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"login": "a"}, "Object missing required field `password`"),
        ({"login": 5, "password": "x"}, "Expected `str`, got `int` - at `$.login`"),
        ({"login": "", "password": "x"}, "Expected `str` of length >= 1 - at `$.login`"),
        ({"login": "a", "password": "x" * 1001}, "Expected `str` of length <= 1000 - at `$.password`"),
        ({"login": "a", "password": "x", "platform": "fridge"}, "Invalid enum value 'fridge' - at `$.platform`"),
        ({"login": "a", "password": "x", "device_id": ""}, "Expected `str` of length >= 1 - at `$.device_id`"),
        (
            {"login": "a", "password": "x", "device_id": "a b"},
            "Expected `str` matching regex '\\\\A[!-~]+\\\\Z' - at `$.device_id`",
        ),
    ],
)
def test_a_login_of_another_shape(http: httpx.Client, body: dict[str, Any], detail: str) -> None:
    answer = http.post("/api/v1/auth/login", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "invalid_envelope", detail)
