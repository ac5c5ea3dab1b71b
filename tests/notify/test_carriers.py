"""Each carrier is spoken to as it wants, and understood."""

import json
import socket
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import httpcore
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from homing.accounts.push_tokens import Keys, Provider
from homing.notify import apns, fcm, webpush
from homing.notify.apns import Apns
from homing.notify.carriers import Carriers
from homing.notify.message import Accepted, Gone, Later, Logged, Message, Outcome, Refused
from homing.notify.wire import Answer, Client, NotPublicError, find_public, is_public
from homing.settings import Settings, SettingsError
from tests.notify.browser import Browser, decode
from tests.notify.vendors import Reply, Secrets, Vendors

pytestmark = pytest.mark.anyio

NOW = datetime(2031, 5, 6, 12, tzinfo=UTC)
EXPIRES = str(int((NOW + timedelta(hours=1)).timestamp()))


def message(provider: Provider, address: str, number: int = 1, **changed: Any) -> Message:
    given: dict[str, Any] = {
        "delivery": number,
        "attempt": 1,
        "notification": 7,
        "token_id": 1,
        "kind": "job_match",
        "title": "A new job",
        "body": "It matches you.",
        "data": {"job_id": "42"},
        "collapse": "c" * 24,
        "urgent": True,
        "expires": NOW + timedelta(hours=1),
        "provider": provider,
        "address": address,
        "keys": None,
    }
    return Message(**{**given, **changed})


async def send(by: Carriers | Apns, messages: Sequence[Message]) -> dict[int, Outcome]:
    """What became of each, by number."""
    outcomes: dict[int, Outcome] = {}
    if isinstance(by, Apns):
        await by.send(messages, NOW, lambda message, outcome: outcomes.update({message.delivery: outcome}))
    else:
        await by.send(messages, NOW, outcomes)
    return outcomes


DATA = {"job_id": "42", "notification_id": "7", "type": "job_match"}


def public_pem(key: Any) -> bytes:
    found: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


async def test_fcm_signs_in_once_and_sends_each(
    carriers: Carriers, vendors: Vendors, push_settings: tuple[Settings, Secrets]
) -> None:
    calm = message("fcm", "t-2", 2, urgent=False, collapse=None)
    outcomes = await send(carriers, [message("fcm", "t-1"), calm])
    assert outcomes == {n: Accepted("projects/homing-test/messages/1") for n in (1, 2)}
    (sign_in,) = vendors.sent("/token")
    form = dict(httpx.QueryParams(sign_in.body.decode()))
    assert form.pop("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    token = jwt.decode(
        form["assertion"], RSAKey.import_key(public_pem(push_settings[1].service_account)), algorithms=["RS256"]
    )
    assert token.header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert token.claims == {
        "iss": "push@homing-test.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": f"{vendors.url}/token",
        "iat": token.claims["iat"],
        "exp": token.claims["iat"] + 3600,
    }
    assert abs(token.claims["iat"] - time()) < 60
    sent = {each.json["message"]["token"]: each for each in vendors.sent("/v1/projects/homing-test/messages:send")}
    assert {each.headers["authorization"] for each in sent.values()} == {"Bearer ya29.1"}
    assert sent["t-1"].json == {
        "message": {
            "token": "t-1",
            "notification": {"title": "A new job", "body": "It matches you."},
            "data": DATA,
            "android": {
                "priority": "HIGH",
                "ttl": "3600s",
                "collapse_key": "c" * 24,
                "notification": {"tag": "c" * 24},
            },
            "apns": {"headers": {"apns-priority": "10", "apns-expiration": EXPIRES, "apns-collapse-id": "c" * 24}},
            "webpush": {"headers": {"TTL": "3600", "Urgency": "high", "Topic": "c" * 24}},
        }
    }
    assert sent["t-2"].json["message"]["android"] == {"priority": "NORMAL", "ttl": "3600s"}


async def test_fcm_signs_in_again_when_its_token_is_refused(carriers: Carriers, vendors: Vendors) -> None:
    vendors.replies["t-1"] = [Reply(401, {"error": {"status": "UNAUTHENTICATED", "message": "expired"}})]
    assert await send(carriers, [message("fcm", "t-1")]) == {1: Later("fcm: 401 UNAUTHENTICATED: expired")}
    assert await send(carriers, [message("fcm", "t-1")]) == {1: Accepted("projects/homing-test/messages/1")}
    assert [each.headers["authorization"] for each in vendors.sent("/v1")] == ["Bearer ya29.1", "Bearer ya29.2"]


async def test_fcm_waits_when_it_cannot_sign_in(carriers: Carriers, vendors: Vendors) -> None:
    vendors.replies["/token"] = [Reply(503, headers={"retry-after": "30"})]
    assert await send(carriers, [message("fcm", "t-1")]) == {1: Later("fcm: sign-in: 503", 30.0)}


async def test_apns_by_http2(carriers: Carriers, apple: Vendors, push_settings: tuple[Settings, Secrets]) -> None:
    calm = message("apns", "bb" * 32, 2, urgent=False, collapse=None)
    outcomes = await send(carriers, [message("apns", "aa" * 32), calm])
    assert outcomes == {n: Accepted("a-1") for n in (1, 2)}
    sent = {each.path: each for each in apple.seen}
    first, second = sent[f"/3/device/{'aa' * 32}"], sent[f"/3/device/{'bb' * 32}"]
    scheme, _, signed = first.headers["authorization"].partition(" ")
    token = jwt.decode(signed, ECKey.import_key(public_pem(push_settings[1].apns)), algorithms=["ES256"])
    assert (scheme, token.header["alg"], token.header["kid"]) == ("bearer", "ES256", "ABC123DEFG")
    assert token.claims["iss"] == "DEF123GHIJ"
    said = {name: first.headers[name] for name in first.headers if name.startswith("apns-")}
    assert said == {
        "apns-topic": "org.example.market",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": EXPIRES,
        "apns-collapse-id": "c" * 24,
    }
    assert first.json == {
        **DATA,
        "aps": {"alert": {"title": "A new job", "body": "It matches you."}, "sound": "default"},
    }
    assert second.headers["authorization"] == first.headers["authorization"]
    assert (second.headers["apns-priority"], "apns-collapse-id" in second.headers) == ("5", False)


async def test_apns_makes_a_new_token_after_forty_minutes(
    apple: Vendors, push_settings: tuple[Settings, Secrets], apple_folder: Path
) -> None:
    settings, at = push_settings[0], [1_900_000_000.0]
    assert settings.push_apns_key is not None
    carrier = Apns(
        key=settings.push_apns_key,
        key_id="K",
        team_id="T",
        topic="t",
        url=apple.url,
        client=Client(ca=settings.push_ca, at_once=2, http2=True),
        at_once=2,
        clock=lambda: at[0],
    )
    for minutes in (0, 39, 41, 79, 82):
        at[0] = 1_900_000_000.0 + 60 * minutes
        assert await send(carrier, [message("apns", "aa" * 32)]) == {1: Accepted("a-1")}
    # A refused token is made anew, but not within twenty minutes: Apple would refuse that, too.
    for minutes in (90, 105, 106):
        at[0] = 1_900_000_000.0 + 60 * minutes
        apple.replies["aa" * 32] = [Reply(403, {"reason": "ExpiredProviderToken"})]
        assert await send(carrier, [message("apns", "aa" * 32)]) == {1: Later("apns: 403 ExpiredProviderToken")}
    made = []
    for each in apple.seen:
        body = each.headers["authorization"].split(".")[1]
        made.append((json.loads(urlsafe_b64decode(body + "=="))["iat"] - 1_900_000_000) // 60)
    assert made == [0, 0, 41, 41, 82, 82, 82, 106]
    await carrier.close()


async def test_a_browser_reads_what_was_pushed_to_it_and_knows_by_whom(
    carriers: Carriers, vendors: Vendors, push_settings: tuple[Settings, Secrets]
) -> None:
    browser = Browser(f"{vendors.url}/browser/1")
    outcomes = await send(carriers, [message("webpush", browser.endpoint, keys=Keys(**browser.keys))])
    assert outcomes == {1: Accepted(f"{vendors.url}/message/1")}
    (sent,) = vendors.seen
    assert json.loads(browser.read(sent.body)) == {
        "title": "A new job",
        "body": "It matches you.",
        "tag": "c" * 24,
        "data": DATA,
    }
    said = {name: sent.headers[name] for name in ("ttl", "urgency", "topic", "content-encoding", "content-type")}
    assert said == {
        "ttl": "3600",
        "urgency": "high",
        "topic": "c" * 24,
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
    }
    scheme, _, parameters = sent.headers["authorization"].partition(" ")
    given = dict(each.strip().split("=", 1) for each in parameters.split(","))
    point = push_settings[1].vapid.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert carriers.web_push is not None
    assert (scheme, decode(given["k"]), carriers.web_push.public_key) == ("vapid", point, given["k"])
    pem = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(given["k"])).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    token = jwt.decode(given["t"], ECKey.import_key(pem), algorithms=["ES256"])
    left = token.claims.pop("exp") - time()
    assert (token.claims, 0 < left <= 24 * 3600) == ({"aud": vendors.url, "sub": "mailto:ops@example.org"}, True)


async def test_expo_takes_a_hundred_at_a_time(carriers: Carriers, vendors: Vendors) -> None:
    vendors.replies["ExpoPushToken[7]"] = [
        Reply(200, {"status": "error", "message": "gone", "details": {"error": "DeviceNotRegistered"}})
    ]
    outcomes = await send(carriers, [message("expo", f"ExpoPushToken[{n}]", n) for n in range(250)])
    expected: dict[int, Outcome] = {n: Accepted(f"ticket-ExpoPushToken[{n}]", receipt=True) for n in range(250)}
    assert outcomes == {**expected, 7: Gone("expo: DeviceNotRegistered")}
    assert [len(each.json) for each in vendors.sent("/expo/send")] == [100, 100, 50]
    assert vendors.seen[0].json[0] == {
        "to": "ExpoPushToken[0]",
        "title": "A new job",
        "body": "It matches you.",
        "data": DATA,
        "ttl": 3600,
        "priority": "high",
        "sound": "default",
    }


async def test_expo_takes_the_tokens_of_one_project_at_a_time(carriers: Carriers, vendors: Vendors) -> None:
    projects = {"@a/one": ["ExpoPushToken[0]", "ExpoPushToken[2]"], "@b/two": ["ExpoPushToken[1]"]}
    vendors.replies["/expo/send"] = [
        Reply(400, {"errors": [{"code": "PUSH_TOO_MANY_EXPERIENCE_IDS", "message": "", "details": projects}]})
    ]
    outcomes = await send(carriers, [message("expo", f"ExpoPushToken[{n}]", n) for n in range(3)])
    assert outcomes == {n: Accepted(f"ticket-ExpoPushToken[{n}]", receipt=True) for n in range(3)}
    assert [[m["to"] for m in each.json] for each in vendors.seen[1:]] == list(projects.values())


@pytest.mark.parametrize(
    "reply", [Reply(429, {"errors": [{"code": "TOO_MANY_REQUESTS"}]}), Reply(502, b"<html>"), Reply(200, {"data": []})]
)
async def test_what_expo_does_not_take_whole_waits(carriers: Carriers, vendors: Vendors, reply: Reply) -> None:
    vendors.replies["/expo/send"] = [reply]
    outcomes = await send(carriers, [message("expo", "ExpoPushToken[1]")])
    assert [type(each) for each in outcomes.values()] == [Later]


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), text)


def google(status: int, code: str, **more: Any) -> Answer:
    return answer(status, {"error": {"message": "m", "details": [{"errorCode": code, **more}]}}, retry_after="7")


EPOCH = datetime.fromtimestamp(0, UTC)
BAD_TOKEN = {"fieldViolations": [{"field": "message.token"}]}


@pytest.mark.parametrize(
    ("read", "said", "meant"),
    [
        (fcm.read, google(404, "UNREGISTERED"), Gone("fcm: 404 UNREGISTERED: m")),
        (fcm.read, google(403, "SENDER_ID_MISMATCH"), Gone("fcm: 403 SENDER_ID_MISMATCH: m")),
        (fcm.read, google(400, "INVALID_ARGUMENT"), Refused("fcm: 400 INVALID_ARGUMENT: m")),
        (fcm.read, google(400, "INVALID_ARGUMENT", **BAD_TOKEN), Gone("fcm: 400 INVALID_ARGUMENT: m")),
        (fcm.read, google(429, "QUOTA_EXCEEDED"), Later("fcm: 429 QUOTA_EXCEEDED: m", 7.0)),
        (fcm.read, google(503, "UNAVAILABLE"), Later("fcm: 503 UNAVAILABLE: m", 7.0)),
        (fcm.read, google(401, "THIRD_PARTY_AUTH_ERROR"), Later("fcm: 401 THIRD_PARTY_AUTH_ERROR: m", 7.0)),
        (fcm.read, answer(502, b"<html>\x00"), Later("fcm: 502 <html>")),
        (apns.read, answer(410, {"reason": "Unregistered", "timestamp": 0}), Gone("apns: 410 Unregistered", EPOCH)),
        (apns.read, answer(400, {"reason": "BadDeviceToken"}), Gone("apns: 400 BadDeviceToken")),
        (apns.read, answer(400, {"reason": "PayloadEmpty"}), Refused("apns: 400 PayloadEmpty")),
        (apns.read, answer(413, {"reason": "PayloadTooLarge"}), Refused("apns: 413 PayloadTooLarge")),
        (apns.read, answer(400, {"reason": "TopicDisallowed"}), Later("apns: 400 TopicDisallowed")),
        (apns.read, answer(429, {"reason": "Too"}, retry_after="3"), Later("apns: 429 Too", 3.0)),
        (apns.read, answer(503, b"?"), Later("apns: 503 ?")),
        (webpush.read, answer(404), Gone("webpush: 404")),
        (webpush.read, answer(410), Gone("webpush: 410")),
        (webpush.read, answer(413, b"too large"), Refused("webpush: 413 too large")),
        (webpush.read, answer(403), Refused("webpush: 403 ")),
        (webpush.read, answer(429, retry_after="99999999"), Later("webpush: 429", 21600.0)),
        (webpush.read, answer(500, retry_after="soon"), Later("webpush: 500")),
        (webpush.read, answer(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), Later("webpush: 503", 0.0)),
    ],
)  # fmt: skip
def test_answers_are_understood(read: Callable[[Answer], Outcome], said: Answer, meant: Outcome) -> None:
    assert read(said) == meant


@pytest.mark.parametrize("provider", ["fcm", "apns", "webpush", "expo"])
async def test_without_a_service_they_go_to_the_log(provider: Provider) -> None:
    carriers = Carriers(Settings())
    assert carriers.providers == []
    assert await send(carriers, [message(provider, "t")]) == {1: Logged()}


async def test_who_is_not_there_is_asked_later(push_settings: tuple[Settings, Secrets]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = nobody.getsockname()[1]
    url = f"http://127.0.0.1:{closed}"
    carriers = Carriers(msgspec.structs.replace(push_settings[0], push_apns_url=url, push_expo_url=url))
    outcomes = await send(carriers, [message("apns", "aa" * 32), message("expo", "ExpoPushToken[1]", 2)])
    await carriers.close()
    assert [type(each) for each in outcomes.values()] == [Later, Later]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:0001::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_is_followed_only_to_public_addresses() -> None:
    with pytest.raises(NotPublicError):
        await find_public("localhost", 443)
    with pytest.raises(httpcore.ConnectError):
        await find_public("nowhere.invalid", 443)


async def test_a_browser_cannot_send_the_server_inside(
    vendors: Vendors, push_settings: tuple[Settings, Secrets]
) -> None:
    """The same endpoint that is served above, but the settings do not allow it."""
    browser = Browser(f"{vendors.url.replace('127.0.0.1', 'localhost')}/browser/1")
    carriers = Carriers(msgspec.structs.replace(push_settings[0], push_private_endpoints=False))
    outcomes = await send(carriers, [message("webpush", browser.endpoint, keys=Keys(**browser.keys))])
    await carriers.close()
    assert outcomes == {1: Refused("webpush: the endpoint is not at a public address")}
    assert vendors.seen == []


async def test_redirects_are_not_followed_and_long_answers_not_read(carriers: Carriers, vendors: Vendors) -> None:
    browser = Browser(f"{vendors.url}/browser/1")
    to = message("webpush", browser.endpoint, keys=Keys(**browser.keys))
    vendors.replies["/browser/1"] = [
        Reply(307, headers={"location": f"{vendors.url}/browser/2"}),
        Reply(400, b"x" * 10_000_000),
    ]
    assert await send(carriers, [to]) == {1: Refused("webpush: 307 ")}
    assert await send(carriers, [to]) == {1: Refused(f"webpush: 400 {'x' * 200}")}
    assert [each.path for each in vendors.seen] == ["/browser/1"] * 2


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"push_fcm_credentials": Path("none.json")}, "HOMING_PUSH_FCM_CREDENTIALS"),
        ({"push_fcm_credentials": Path(__file__)}, "HOMING_PUSH_FCM_CREDENTIALS"),
        ({"push_apns_key_id": None}, "HOMING_PUSH_APNS_KEY_ID is needed"),
        ({"push_apns_key": Path(__file__)}, "HOMING_PUSH_APNS_KEY:"),
        ({"push_vapid_key": Path(__file__)}, "HOMING_PUSH_VAPID_KEY:"),
        ({"push_vapid_contact": None}, "HOMING_PUSH_VAPID_CONTACT is needed"),
        ({"push_vapid_contact": "ops@example.org"}, "HOMING_PUSH_VAPID_CONTACT: mailto"),
        ({"push_expo_token": Path("none")}, "HOMING_PUSH_EXPO_TOKEN"),
        ({"push_ca": Path("none.pem")}, "HOMING_PUSH_"),
    ],
)
def test_a_mistake_in_the_settings_names_itself(
    push_settings: tuple[Settings, Secrets], changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        Carriers(msgspec.structs.replace(push_settings[0], **changed))
