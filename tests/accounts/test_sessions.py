"""Refresh tokens: what a lossy line, an impatient client and a thief do with them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from homing.server.tenant import Tenant
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn, login
from tests.fixtures.server import Server, serving

REFUSED = (401, "invalid_refresh_token", "login")


class Clock:
    """The server's clock, moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(settings: Settings, clock: Clock) -> Iterator[Server]:
    def prepare(tenant: Tenant) -> None:
        tenant.clock = clock
        tenant.keys_seconds = 0  # made-up tokens of other tests must not keep it from reading the keys again

    with serving(settings, prepare) as running:
        yield running


@pytest.fixture
def later(clock: Clock) -> Iterator[Callable[[timedelta], Any]]:
    """Moves the server's clock ahead for a while."""

    @contextmanager
    def moved(by: timedelta) -> Iterator[None]:
        clock.ahead += by
        try:
            yield
        finally:
            clock.ahead -= by

    yield moved
    clock.ahead = timedelta()


def redeem(server: Server, token: str, device_id: str | None = None) -> httpx.Response:
    body = {"refresh_token": token} | ({"device_id": device_id} if device_id else {})
    return httpx.post(f"{server.url}/api/v1/auth/refresh", json=body, timeout=30)


def successor(server: Server, token: str, device_id: str | None = None) -> str:
    answer = redeem(server, token, device_id)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["refresh_token"])


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["code"], answer.json()["action"]


def is_open(server: Server, access_token: str) -> bool:
    answer = httpx.get(f"{server.url}/api/v1/auth/me", headers={"authorization": f"Bearer {access_token}"}, timeout=30)
    return answer.status_code == 200


def revoked_reason(settings: Settings, person: Person) -> list[str | None]:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        rows = conn.execute(
            "SELECT revoked_reason FROM homing.sessions WHERE user_id = %s ORDER BY created_at", [person.id]
        ).fetchall()
    return [row[0] for row in rows]


def test_the_answer_is_that_of_login(server: Server, new_person: SignIn) -> None:
    person = new_person("ann", device_id="anns-phone")
    answer = redeem(server, person.tokens["refresh_token"]).json()
    assert answer == {
        "access_token": answer["access_token"],
        "token_type": "bearer",
        "expires_in": 600,
        "refresh_token": answer["refresh_token"],
        "user": answer["user"],
    }
    assert answer["user"]["id"] == person.id
    assert answer["refresh_token"] != person.tokens["refresh_token"]
    person.use(answer)
    assert person.http.get("/api/v1/auth/me").json()["device"]["device_id"] == "anns-phone"


def test_a_lost_answer_signs_nobody_out(server: Server, new_person: SignIn) -> None:
    """The phone asks again, however often, gets the same successor, and goes on with it."""
    person = new_person("bea")
    first = person.tokens["refresh_token"]
    second = successor(server, first)
    assert [successor(server, first) for _ in range(3)] == [second] * 3
    third = successor(server, second)
    assert len({first, second, third}) == 3
    assert successor(server, second) == third


def test_three_at_once_get_the_same_successor(server: Server, new_person: SignIn) -> None:
    person = new_person("cleo")
    token = person.tokens["refresh_token"]
    for _ in range(5):
        barrier = threading.Barrier(3)
        found: list[str] = []

        def ask(token: str, barrier: threading.Barrier, found: list[str]) -> None:
            barrier.wait()
            found.append(successor(server, token))

        threads = [threading.Thread(target=ask, args=(token, barrier, found)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        assert len(set(found)) == 1
        token = found[0]


def test_a_stolen_token_used_after_its_successor_ends_the_session_for_both(
    server: Server, settings: Settings, new_person: SignIn, sign_in: SignIn
) -> None:
    victim, elsewhere = new_person("dan"), sign_in("dan")
    stolen = victim.tokens["refresh_token"]
    mine = redeem(server, stolen).json()
    newest = redeem(server, mine["refresh_token"]).json()
    assert is_open(server, newest["access_token"])
    assert refusal(redeem(server, stolen)) == REFUSED
    assert not is_open(server, newest["access_token"])
    assert not is_open(server, victim.tokens["access_token"])
    assert refusal(redeem(server, newest["refresh_token"])) == REFUSED
    # Only the stolen family ends, and the reason is kept for the office.
    assert elsewhere.http.get("/api/v1/auth/me").status_code == 200
    assert revoked_reason(settings, victim) == ["refresh token used twice", None]


def test_a_thief_who_comes_first_is_found_out_by_the_victim(server: Server, new_person: SignIn) -> None:
    victim = new_person("eve")
    token = victim.tokens["refresh_token"]
    thiefs = redeem(server, redeem(server, token).json()["refresh_token"]).json()
    assert is_open(server, thiefs["access_token"])
    assert refusal(redeem(server, token)) == REFUSED
    assert not is_open(server, thiefs["access_token"])


def test_a_race_of_a_thief_and_the_device_ends_in_one_session_or_none(server: Server, new_person: SignIn) -> None:
    """However the two interleave, never do both hold different live tokens of the family."""
    outcomes = set()
    for n in range(6):
        person = new_person(f"fay-{n}")
        first = person.tokens["refresh_token"]
        second = successor(server, first)
        barrier = threading.Barrier(2)
        answers: dict[str, httpx.Response] = {}

        def ask(name: str, token: str, barrier: threading.Barrier, answers: dict[str, httpx.Response]) -> None:
            barrier.wait()
            answers[name] = redeem(server, token)

        threads = [
            threading.Thread(target=ask, args=("thief", first, barrier, answers)),
            threading.Thread(target=ask, args=("device", second, barrier, answers)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if answers["thief"].status_code == 200:
            # The thief was before the device: it got the successor that the device had already.
            assert answers["thief"].json()["refresh_token"] == second
            assert answers["device"].status_code == 200
        else:
            assert refusal(answers["thief"]) == REFUSED
        outcomes.add((answers["thief"].status_code, answers["device"].status_code))
    assert outcomes <= {(200, 200), (401, 200), (401, 401)}


def test_another_device_is_refused(server: Server, new_person: SignIn) -> None:
    person = new_person("gus", device_id="guss-phone")
    token = person.tokens["refresh_token"]
    assert refusal(redeem(server, token, "another-phone")) == REFUSED
    assert redeem(server, token, "guss-phone").status_code == 200


@pytest.mark.parametrize("token", ["", "hr_", "hr_" + "A" * 43, "x" * 200, "hr_\u00e9"])
def test_what_is_no_token_of_ours(server: Server, token: str) -> None:
    assert refusal(redeem(server, token)) == REFUSED


def test_an_access_token_is_no_refresh_token(server: Server, new_person: SignIn) -> None:
    person = new_person("hal")
    answer = redeem(server, person.tokens["access_token"])
    assert answer.status_code in (401, 422)
    forward = httpx.get(
        f"{server.url}/api/v1/auth/me", headers={"authorization": f"Bearer {person.tokens['refresh_token']}"}
    )
    assert forward.json()["code"] == "unauthenticated"


def test_an_access_token_ends_after_ten_minutes(server: Server, new_person: SignIn, later: Any) -> None:
    person = new_person("ida")
    with later(timedelta(seconds=590)):
        assert is_open(server, person.tokens["access_token"])
    with later(timedelta(seconds=601)):
        answer = person.http.get("/api/v1/auth/me")
        assert (answer.status_code, answer.json()["detail"]) == (401, "The access token is expired.")


def test_a_refresh_token_lasts_while_it_is_used(
    server: Server, settings: Settings, new_person: SignIn, later: Any
) -> None:
    """60 days of silence end a session; and after 180 days it ends whatever was done."""
    silent, busy = new_person("jan"), new_person("kim")
    token = busy.tokens["refresh_token"]
    for days in (59, 118, 177):
        with later(timedelta(days=days)):
            token = successor(server, token)
    with later(timedelta(days=61)):
        assert refusal(redeem(server, silent.tokens["refresh_token"])) == REFUSED
    with later(timedelta(days=181)):
        assert refusal(redeem(server, token)) == REFUSED


def test_old_spent_tokens_are_forgotten_and_still_refused(
    server: Server, settings: Settings, new_person: SignIn, later: Any
) -> None:
    person = new_person("lou")
    tokens = [person.tokens["refresh_token"]]
    for _ in range(4):
        tokens.append(successor(server, tokens[-1]))
    with later(timedelta(days=8)):
        tokens.append(successor(server, tokens[-1]))
        assert settings.database_url is not None
        with psycopg.connect(settings.database_url) as conn:
            row = conn.execute(
                "SELECT count(*) FROM homing.refresh_tokens t JOIN homing.sessions s ON s.id = t.session_id "
                "WHERE s.user_id = %s",
                [person.id],
            ).fetchone()
        assert row == (3,)
        assert refusal(redeem(server, tokens[0])) == REFUSED
        # Unknown, not theft: the session goes on.
        successor(server, tokens[-1])


def test_a_new_signing_key_signs_nobody_out(
    settings: Settings, server: Server, new_person: SignIn, servers: Callable[[Settings], Server]
) -> None:
    """Another node with a newer key: old access tokens hold, and a lost answer still gives the same successor."""
    person = new_person("max")
    first = person.tokens["refresh_token"]
    second = successor(server, first)
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("INSERT INTO homing.keys (purpose, secret) VALUES ('access', sha256('another'))")
    renewed = servers(settings)
    assert is_open(renewed, person.tokens["access_token"])
    assert successor(renewed, first) == second
    third = redeem(renewed, second).json()
    assert is_open(renewed, third["access_token"])
    assert is_open(server, third["access_token"])  # which reads the keys again for a key that it does not know


def test_two_nodes_share_their_sessions(
    settings: Settings, server: Server, new_person: SignIn, servers: Callable[[Settings], Server]
) -> None:
    other = servers(settings)
    person = new_person("nia")
    assert is_open(other, person.tokens["access_token"])
    second = successor(other, person.tokens["refresh_token"])
    assert successor(server, person.tokens["refresh_token"]) == second
    assert login(other, "nia").status_code == 200
    person.http.post("/api/v1/auth/logout")
    assert not is_open(other, person.tokens["access_token"])
