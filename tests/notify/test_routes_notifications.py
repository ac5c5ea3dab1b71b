"""Notifications by HTTP: where they are pushed to, which are wanted, the list, and what people did with each."""

import json
from base64 import urlsafe_b64encode
from typing import Any
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

from homing.notify import Kind, notify
from homing.postgres.database import Database
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn, login
from tests.fixtures.server import Server
from tests.notify.browser import Browser

TOKEN = "/api/v1/mobile/notifications/push-token"
PREFERENCES = "/api/v1/mobile/notifications/preferences"
LIST = "/api/v1/notifications"
NEWS = Kind(name="news", title="News", body="Something is new.", preference=None, ids=("news_id",))


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def ann(new_person: SignIn) -> Person:
    """Somebody new each time, with a phone."""
    name = f"ann-{uuid4().hex[:8]}"
    return new_person(name, device_id=f"{name}s-phone")


@pytest.fixture
def ben(new_person: SignIn) -> Person:
    """Somebody else, in a browser."""
    return new_person(f"ben-{uuid4().hex[:8]}")


def rows(settings: Settings, query: str, *params: Any) -> list[Any]:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute(query.encode(), params).fetchall()


def tell(settings: Settings, person: Person, *, times: int = 1) -> None:
    async def cause() -> None:
        assert settings.database_url is not None
        db = Database(settings.database_url, pool_size=1)
        await db.open()
        for number in range(1, times + 1):
            async with db.transaction() as conn:
                await notify(conn, NEWS, user_ids=[UUID(person.id)], data={"news_id": number})
        await db.close()

    anyio.run(cause)


def tokens(settings: Settings, person: Person) -> list[tuple[str, str, str]]:
    return rows(
        settings, "SELECT provider, platform, address FROM homing.push_tokens WHERE user_id = %s ORDER BY id", person.id
    )


@pytest.mark.parametrize(
    ("platform", "text", "kept"),
    [
        ("android", "fcm-{}:APA91b", ("fcm", "android")),
        ("ios", "{}".ljust(64, "0"), ("apns", "ios")),
        ("android", "{}".ljust(64, "0"), ("fcm", "android")),
        ("ios", "{}:an-fcm-token-of-an-iphone", ("fcm", "ios")),
        ("ios", "ExponentPushToken[{}]", ("expo", "ios")),
        ("android", "ExpoPushToken[{}]", ("expo", "android")),
    ],
)
def test_a_token_says_whose_it_is(settings: Settings, ann: Person, platform: str, text: str, kept: Any) -> None:
    text = text.replace("{}", uuid4().hex)
    answer = ann.http.post(TOKEN, json={"pushToken": text, "platform": platform})
    assert (answer.status_code, answer.json()) == (
        200,
        {"provider": kept[0], "platform": kept[1], "configured": False},
    )
    assert tokens(settings, ann) == [(*kept, text)]
    assert rows(settings, "SELECT device_tokens FROM homing.users WHERE id = %s", ann.id) == [
        ([{"provider": kept[0], "platform": kept[1], "token": text}],)
    ]
    assert rows(settings, "SELECT push_token FROM homing.mobile_devices WHERE user_id = %s", ann.id) == [(text,)]


def test_a_browser_gives_its_subscription(settings: Settings, ben: Person) -> None:
    browser = Browser(f"https://push.example.org/{uuid4()}")
    answer = ben.http.post("/api/mobile/notifications/push-token", json={"pushToken": browser.text, "platform": "web"})
    assert answer.json() == {"provider": "webpush", "platform": "web", "configured": False}
    assert tokens(settings, ben) == [("webpush", "web", browser.endpoint)]
    assert rows(settings, "SELECT keys FROM homing.push_tokens WHERE user_id = %s", ben.id) == [(browser.keys,)]


def _subscription(**changed: Any) -> str:
    browser = Browser("https://push.example.org/1")
    keys = {**browser.keys, **changed.pop("keys", {})}
    return json.dumps({"endpoint": browser.endpoint, **changed, "keys": keys})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two words",
        "tökén",
        "x" * 2049,
        "{",
        "{}",
        '{"endpoint": "https://push.example.org/1"}',
        _subscription(endpoint="http://push.example.org/1"),
        _subscription(endpoint="https://127.0.0.1/1"),
        _subscription(endpoint="https://[::1]/1"),
        _subscription(endpoint="https://10.0.0.7/1"),
        _subscription(endpoint="https://localhost/1"),
        _subscription(endpoint="https://db.internal/1"),
        _subscription(endpoint="https://push.example.org:5432/1"),
        _subscription(endpoint="https://push.example.org:x/1"),
        _subscription(endpoint="https://me@push.example.org/1"),
        _subscription(endpoint="https:///1"),
        _subscription(endpoint="file:///etc/passwd"),
        _subscription(endpoint=7),
        _subscription(keys={"auth": "short"}),
        _subscription(keys={"p256dh": urlsafe_b64encode(b"\x04" + b"\x01" * 64).decode()}),
        _subscription(keys={"p256dh": "?"}),
    ],
)
def test_what_is_no_token_is_refused(settings: Settings, ann: Person, text: str) -> None:
    answer = ann.http.post(TOKEN, json={"pushToken": text, "platform": "web"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_envelope")
    assert tokens(settings, ann) == []


def test_a_token_is_one_persons_and_a_session_has_one(
    settings: Settings, server: Server, ann: Person, ben: Person
) -> None:
    first, second = f"fcm:{uuid4()}", f"fcm:{uuid4()}"
    ann.http.post(TOKEN, json={"pushToken": first, "platform": "android"})
    ann.http.post(TOKEN, json={"pushToken": second, "platform": "android"})
    assert tokens(settings, ann) == [("fcm", "android", second)]
    ben.http.post(TOKEN, json={"pushToken": second, "platform": "android"})
    assert (tokens(settings, ann), tokens(settings, ben)) == ([], [("fcm", "android", second)])
    assert rows(settings, "SELECT device_tokens FROM homing.users WHERE id = %s", ann.id) == [([],)]
    assert rows(settings, "SELECT push_token FROM homing.mobile_devices WHERE user_id = %s", ann.id) == [(None,)]
    assert ben.http.delete(TOKEN).json() == {"removed": True}
    assert ben.http.delete(TOKEN).json() == {"removed": False}
    assert tokens(settings, ben) == []


def test_a_person_has_only_so_many_tokens(settings: Settings, server: Server, ben: Person) -> None:
    most = settings.limits.push_tokens_a_user_max
    made = [f"fcm:{uuid4()}" for _ in range(most + 2)]
    for text in made:
        ben.use(login(server, ben.user["username"]).json())
        assert ben.http.post(TOKEN, json={"pushToken": text, "platform": "web"}).status_code == 200
    assert [address for _, _, address in tokens(settings, ben)] == made[2:]


@pytest.mark.parametrize("path", [PREFERENCES, "/api/mobile/notifications/preferences"])
def test_preferences_are_four_switches(ann: Person, ben: Person, path: str) -> None:
    default = {"jobMatches": True, "proposalUpdates": True, "paymentAlerts": True, "marketing": False}
    other = {"jobMatches": False, "proposalUpdates": True, "paymentAlerts": False, "marketing": True}
    assert ann.http.get(path).json() == default
    for wanted in (other, default, other):
        answer = ann.http.put(path, json=wanted)
        assert (answer.status_code, answer.json(), ann.http.get(path).json()) == (200, wanted, wanted)
    for wrong in ({}, {**other, "marketing": 1}, {**other, "jobs": True}, {"jobMatches": True}, []):
        answer = ann.http.put(path, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_envelope")
    assert (ann.http.get(path).json(), ben.http.get(path).json()) == (other, default)


def test_apps_keep_their_tastes(ann: Person) -> None:
    assert ann.http.get("/api/v1/mobile/preferences").json() == {}
    wanted = {"theme": "dark", "nested": {"a": [1, None]}}
    assert ann.http.put("/api/v1/mobile/preferences", json=wanted).json() == wanted
    refused = ann.http.put("/api/v1/mobile/preferences", json={"x": "y" * 20_000})
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert ann.http.get("/api/v1/mobile/preferences").json() == wanted


def test_the_list_is_ones_own_newest_first(settings: Settings, ann: Person, ben: Person) -> None:
    tell(settings, ann, times=5)
    tell(settings, ben)
    first = ann.http.get(LIST, params={"limit": 2}).json()
    rest = ann.http.get(LIST, params={"after": first["next"]}).json()
    assert [each["data"]["news_id"] for each in first["items"] + rest["items"]] == ["5", "4", "3", "2", "1"]
    assert (first["unread_count"], rest["unread_count"], rest["next"]) == (5, 5, None)
    newest = first["items"][0]
    assert newest == {
        "id": newest["id"],
        "platform": "web",
        "notification_type": "news",
        "title": "News",
        "body": "Something is new.",
        "data": {"news_id": "5"},
        "sent_at": newest["sent_at"],
        "read_at": None,
        "clicked_at": None,
    }
    assert ann.http.get(LIST, params={"after": "x"}).json()["code"] == "invalid_parameter"


def test_what_was_read_stays_read(settings: Settings, ann: Person, ben: Person) -> None:
    tell(settings, ann, times=4)
    ids = [each["id"] for each in ann.http.get(LIST).json()["items"]]
    read = ann.http.post(f"{LIST}/{ids[0]}/read").json()
    assert (read["read_at"] is not None, read["clicked_at"]) == (True, None)
    clicked = ann.http.post(f"{LIST}/{ids[0]}/clicked").json()
    assert (clicked["read_at"], clicked["clicked_at"] is not None) == (read["read_at"], True)
    assert ann.http.post(f"{LIST}/{ids[0]}/clicked").json() == clicked
    assert ann.http.post(f"{LIST}/{ids[0]}/read").json() == clicked
    direct = ann.http.post(f"{LIST}/{ids[1]}/clicked").json()
    assert direct["read_at"] == direct["clicked_at"]
    unread = ann.http.get(LIST, params={"unread": "true"}).json()
    assert ([each["id"] for each in unread["items"]], unread["unread_count"]) == (ids[2:], 2)
    assert ann.http.post(f"{LIST}/read", json={"up_to": ids[3]}).json() == {"read": 1}
    assert ann.http.post(f"{LIST}/read", json={"up_to": ids[0]}).json() == {"read": 1}
    assert ann.http.get(LIST).json()["unread_count"] == 0
    for action in ("read", "clicked", "delivered"):
        for strange in (ids[0], 0, -1, 2**63, 999_999_999):
            assert ben.http.post(f"{LIST}/{strange}/{action}").status_code == 404
    assert ann.http.post(f"{LIST}/{ids[0]}/delivered").status_code == 204


def test_the_office_sees_what_became_of_them(settings: Settings, owner: Person, ann: Person) -> None:
    tell(settings, ann)
    rows(
        settings,
        "INSERT INTO homing.push_deliveries (notification_id, token_id, platform, provider, status)"
        " SELECT max(id), 1, 'ios', 'apns', 'sent' FROM homing.push_notifications WHERE user_id = %s RETURNING 1",
        ann.id,
    )
    newest = ann.http.get(LIST).json()["items"][0]["id"]
    ann.http.post(f"{LIST}/{newest}/clicked")
    found = owner.http.get(f"{LIST}/rates").json()["items"]
    assert found == [
        {"platform": "ios", "provider": "apns", "status": "sent", "deliveries": 1, "read": 1, "clicked": 1}
    ]
    assert ann.http.get(f"{LIST}/rates").status_code == 403
    assert ann.http.get("/api/v1/mobile/notifications/web-push-key").json() == {"key": None}
