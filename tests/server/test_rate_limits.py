"""Rates through HTTP: at two nodes of one database, for everybody's own platform, and whoever tries to dodge."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from homing.settings import Settings, SettingsError
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server, serving
from tests.server.limited import DAY

GOODS = "/api/v1/goods"
POLICY = {"web": f'"limited-web";q=3;w={DAY}', "mobile": f'"limited-mobile";q=5;w={DAY}'}


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return msgspec.structs.replace(module_settings, apps=("tests.server.limited",), rates={"sync": None})


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


@pytest.fixture(scope="module")
def other(settings: Settings) -> Iterator[Server]:
    """Another node of the same database."""
    with serving(settings) as running:
        yield running


def statuses(person: Person, times: int, path: str = GOODS, **options: Any) -> list[int]:
    return [person.http.get(path, **options).status_code for _ in range(times)]


def test_every_answer_says_how_one_stands(new_person: SignIn) -> None:
    """The IETF draft's fields on what is admitted; on the refusal also when to come back, in a problem document."""
    ada = new_person("ada")
    answers = [ada.http.get(GOODS) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    for answer, left in zip(answers, (2, 1, 0, 0), strict=True):
        assert answer.headers["ratelimit-policy"] == POLICY["web"]
        said = re.fullmatch(r'"limited-web";r=([0-9]+);t=([0-9]+)', answer.headers["ratelimit"])
        assert said is not None
        assert int(said[1]) == left
        assert DAY <= int(said[2]) <= DAY * 16 / 15 + 1
    refused = answers[-1]
    assert DAY <= int(refused.headers["retry-after"]) <= DAY * 16 / 15 + 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "type": "/docs/errors#rate_limited",
        "title": "Too many requests",
        "status": 429,
        "detail": f"At most 3 in {DAY} seconds. Wait for Retry-After; nothing is lost.",
        "code": "rate_limited",
        "action": "retry",
        "policy": "limited-web",
    }


def test_what_is_refused_for_another_reason_says_it_too(new_person: SignIn) -> None:
    ada = new_person("adam")
    answer = ada.http.get(GOODS, params={"colour": "red"})
    assert (answer.status_code, answer.headers["ratelimit-policy"]) == (400, POLICY["web"])
    assert ada.http.get("/api/v1/auth/me").headers.get("ratelimit-policy") is None


def test_two_nodes_admit_together_what_one_may(new_person: SignIn, other: Server) -> None:
    """Forty requests of two people at two nodes, all at the same moment: exactly as many as may be, to each."""
    people = [new_person("bea"), new_person("bob", device_id="bobs-phone")]
    barrier = threading.Barrier(20)
    found: Counter[tuple[str, int]] = Counter()

    def ask(person: Person, url: str) -> None:
        with httpx.Client(base_url=url, headers=dict(person.http.headers), timeout=60) as client:
            barrier.wait()
            for _ in range(2):
                found[person.user["username"], client.get(GOODS).status_code] += 1

    urls = (str(people[0].http.base_url), other.url)
    threads = [threading.Thread(target=ask, args=(p, url)) for p in people for url in urls for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {("bea", 200): 3, ("bea", 429): 17, ("bob", 200): 5, ("bob", 429): 15}


def test_platforms_count_apart_and_a_device_for_all_its_users(new_person: SignIn, sign_in: SignIn) -> None:
    phone = new_person("cleo", device_id="shared-phone")
    browser = sign_in("cleo")
    assert statuses(phone, 6) == [200] * 5 + [429]
    assert statuses(browser, 4) == [200] * 3 + [429]
    # Another account on the same phone: the phone has had its five.
    assert statuses(new_person("clive", device_id="shared-phone"), 1) == [429]
    # Another phone of the same person: she has had hers.
    assert statuses(sign_in("cleo", device_id="second-phone"), 1) == [429]


def test_no_claim_makes_a_browser_a_phone(server: Server, new_person: SignIn) -> None:
    """The platform is the signed token's, and only a session with a device is mobile."""
    dora = new_person("dora")
    body = {"login": "dora", "password": "correct horse battery", "platform": "mobile"}
    dora.use(httpx.post(f"{server.url}/api/v1/auth/login", json=body, timeout=30).json())
    claims: dict[str, Any] = {"params": {"platform": "mobile"}, "headers": {"x-platform": "mobile"}}
    answer = dora.http.get(GOODS, **claims)
    assert answer.headers["ratelimit-policy"] == POLICY["web"]
    assert statuses(dora, 3, **claims) == [200, 200, 429]


def test_one_count_whatever_the_address_and_the_session(new_person: SignIn, sign_in: SignIn) -> None:
    """The application's own address, the plain one and the specification's count together, and so do all sessions."""
    eve, again = new_person("eve"), sign_in("eve")
    addresses = (GOODS, "/api/v1/tests.server.limited/goods", "/api/goods")
    assert [statuses(who, 1, path) for who, path in zip((eve, again, eve), addresses, strict=True)] == [[200]] * 3
    assert statuses(again, 1) == statuses(eve, 1, "/api/goods") == [429]


def test_nobody_uses_up_what_others_may_ask(server: Server, new_person: SignIn, sign_in: SignIn) -> None:
    """An access token whose session was ended counts for nothing."""
    flo, stolen = new_person("flo"), sign_in("flo")
    assert stolen.http.post("/api/v1/auth/logout").status_code == 204
    assert statuses(stolen, 5) == [401] * 5
    assert statuses(flo, 4) == [200] * 3 + [429]


def test_nobody_signed_in_is_counted_by_address(settings: Settings, server: Server, tmp_path: Path) -> None:
    """Which a trusted proxy says, and nobody else: a made-up X-Forwarded-For is no way round."""

    def look(url: str, forwarded: str | None = None) -> int:
        headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
        return httpx.get(f"{url}/api/v1/window", headers=headers, timeout=30).status_code

    # This machine is a trusted proxy by default: what it says last, before the trusted ones, is the caller.
    assert [look(server.url, "192.0.2.1") for _ in range(4)] == [200] * 3 + [429]
    assert look(server.url, "198.51.100.7, 192.0.2.1, 127.0.0.1") == 429
    assert look(server.url, "192.0.2.2") == 200
    # One customer's network is one address.
    assert [look(server.url, f"2001:db8:1:2::{n}") for n in range(4)] == [200] * 3 + [429]
    assert look(server.url, "2001:db8:1:3::1") == 200
    assert [look(server.url, f"::ffff:192.0.2.{n}") for n in (1, 9)] == [429, 200]
    with serving(msgspec.structs.replace(settings, trusted_proxies=(), data_dir=tmp_path)) as strict:
        assert [look(strict.url, f"203.0.113.{n}") for n in range(4)] == [200] * 3 + [429]
        assert look(strict.url) == 429


def test_what_has_no_rate_or_another_is_not_counted(server: Server, new_person: SignIn) -> None:
    gil = new_person("gil")
    assert statuses(gil, 5, "/api/v1/opening-hours") == statuses(gil, 5, "/health/live") == [200] * 5
    assert [gil.http.post("/api/v1/backlog").status_code for _ in range(5)] == [200] * 5
    assert "ratelimit" not in gil.http.post("/api/v1/backlog").headers
    assert statuses(gil, 4) == [200] * 3 + [429]


def test_a_flood_that_is_refused_asks_the_database_nothing(server: Server, new_person: SignIn) -> None:
    hal = new_person("hal")
    statuses(hal, 4)
    asked = server.tenant.rates.asked
    assert statuses(hal, 50) == [429] * 50
    assert server.tenant.rates.asked == asked


def test_a_rate_that_nobody_declares_stops_the_start(settings: Settings) -> None:
    wrong = Settings.read({"HOMING_RATES": "limited-wob=5/60"}).rates
    with (
        pytest.raises(SettingsError, match="there is no rate called 'limited-wob'"),
        serving(msgspec.structs.replace(settings, rates=wrong)),
    ):
        pass


@pytest.mark.parametrize(
    "text", ["sync", "sync=5", "sync=0/60", "sync=5/0", "sync=5/60,sync=off", "Sync=5/60", "a=5/x"]
)
def test_a_rate_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^HOMING_RATES: "):
        Settings.read({"HOMING_RATES": text})


def test_refreshing_is_bounded_by_token_and_guessing_by_address(
    settings: Settings, servers: Callable[[Settings], Server], new_person: SignIn, tmp_path: Path
) -> None:
    ida = new_person("ida")
    rates = Settings.read({"HOMING_RATES": f"refresh=3/{DAY}, refresh-address=2/{DAY}, challenge=2/{DAY}"}).rates
    node = servers(msgspec.structs.replace(settings, rates=rates, data_dir=tmp_path))

    def refresh(token: str) -> int:
        return httpx.post(f"{node.url}/api/v1/auth/refresh", json={"refresh_token": token}, timeout=30).status_code

    mine = ida.tokens["refresh_token"]
    # The same answer again and again, and then not.
    assert [refresh(mine) for _ in range(4)] == [200] * 3 + [429]
    assert [refresh(f"hr_{'x' * n}") for n in range(30, 33)] == [401, 401, 429]
    challenges = [httpx.post(f"{node.url}/api/v1/auth/challenge", json={"device_id": "any"}) for _ in range(3)]
    assert [answer.status_code for answer in challenges] == [200, 200, 429]
