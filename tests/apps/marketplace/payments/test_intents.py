"""Payments through Stripe are asked for: one intent, of what was agreed, whoever asks how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.apps.marketplace.paying import (
    INTENT,
    Agreed,
    agree,
    ok,
    payments_of,
    refused,
    rows,
)
from tests.apps.marketplace.payments.stripe_server import StripeServer, error
from tests.fixtures.accounts import SignIn
from tests.fixtures.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""Stripe's SDK hands httpx its body in an old way."""


def test_an_intent_is_what_was_agreed_and_its_secret_is_not_kept(
    server: Server, stripe: StripeServer, agreed: Agreed, url: str
) -> None:
    asked = agreed.ask(platform="mobile", deviceFingerprint="f" * 64)
    answer = ok(agreed.client.http.post(INTENT, json=asked))
    payment = answer["id"]
    assert answer == {
        "id": payment,
        "proposal_id": agreed.proposal,
        "job_id": agreed.job,
        "client_id": agreed.client.id,
        "freelancer_id": agreed.freelancer.id,
        "amount": 25_000,
        "refunded": 0,
        "currency": "USD",
        "status": "requires_payment",
        "gateway": "stripe",
        "gateway_id": answer["gateway_id"],
        "error": None,
        "created_at": answer["created_at"],
        "settled_at": None,
        "client_secret": f"{answer['gateway_id']}_secret_x",
    }
    assert stripe.requests == [
        (
            "POST",
            "/v1/payment_intents",
            {
                "amount": "25000",
                "currency": "usd",
                "automatic_payment_methods[enabled]": "true",
                "metadata[payment_id]": payment,
                "metadata[proposal_id]": agreed.proposal,
            },
            f"homing-{payment}",
        )
    ]
    # At the spec's own address too, and again: the same intent, which is asked after and not made.
    again = ok(agreed.client.http.post("/api/payments/create-intent", json=asked))
    assert again == answer
    assert [(method, path) for method, path, _, _ in stripe.requests[1:]] == [
        ("GET", f"/v1/payment_intents/{answer['gateway_id']}")
    ]
    ((platform, fingerprint),) = rows(
        url,
        "SELECT platform, device_fingerprint FROM marketplace.payment_requests WHERE payment_id = %s",
        payment,
    )
    assert (platform, len(fingerprint)) == ("mobile", 32)
    assert b"f" * 32 not in fingerprint
    dump = str(rows(url, "SELECT p, r FROM marketplace.payments p JOIN marketplace.payment_requests r ON true"))
    assert "secret" not in dump


def test_no_transaction_is_open_while_stripe_is_asked(agreed: Agreed, stripe: StripeServer, url: str) -> None:
    seen: list[list[tuple[Any, ...]]] = []
    query = """SELECT pid, state, query FROM pg_stat_activity
               WHERE datname = current_database() AND state LIKE 'idle in transaction%%' AND pid <> pg_backend_pid()"""
    stripe.on_create = lambda: seen.append(rows(url, query))
    with psycopg.connect(url) as conn:  # to prove that one would be seen
        conn.execute("SELECT 1")
        assert len(rows(url, query)) == 1
    ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    assert seen == [[]]


def test_equal_requests_at_once_give_one_intent(agreed: Agreed, stripe: StripeServer, url: str) -> None:
    """With one key, with keys of their own, with none: from eight connections, at one moment."""
    barrier = threading.Barrier(8)
    keys = [{"Idempotency-Key": "one"}] * 3 + [{"Idempotency-Key": f"own-{n}"} for n in range(3)] + [{}] * 2

    def ask(key: dict[str, str]) -> dict[str, Any]:
        with httpx.Client(base_url=agreed.client.http.base_url, headers=agreed.client.http.headers) as http:
            barrier.wait()
            return dict(ok(http.post(INTENT, json=agreed.ask(), headers=key, timeout=60)))

    before = len(stripe.intents)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, keys))
    assert all(answer == answers[0] for answer in answers)
    assert len(stripe.intents) - before == 1
    assert payments_of(url, agreed) == [("requires_payment", answers[0]["gateway_id"])]
    asked = rows(
        url,
        "SELECT idempotency_key FROM marketplace.payment_requests WHERE payment_id = %s ORDER BY 1 NULLS LAST",
        answers[0]["id"],
    )
    assert asked == [("one",), ("own-0",), ("own-1",), ("own-2",), (None,)]


def test_a_key_asks_for_the_same_or_is_refused(agreed: Agreed, url: str, new_person: SignIn) -> None:
    http = agreed.client.http
    first = ok(http.post(INTENT, json=agreed.ask(deviceFingerprint="a"), headers={"Idempotency-Key": "k"}))
    # The body's key is the header's; the fingerprint holds the time and may differ; the job names the same proposal.
    same = {"job_id": agreed.job, "amount": 25_000, "currency": "USD", "deviceFingerprint": "b", "idempotency_key": "k"}
    assert ok(http.post(INTENT, json=same)) == first
    other = http.post(INTENT, json=agreed.ask(platform="ios"), headers={"Idempotency-Key": "k"})
    assert refused(other) == (409, "reused_with_other_body")
    both = http.post(INTENT, json=agreed.ask(idempotency_key="k"), headers={"Idempotency-Key": "l"})
    assert refused(both) == (422, "invalid_envelope")
    # A key is one client's: another's is another.
    theirs = agree(url, new_person)
    assert ok(theirs.client.http.post(INTENT, json=theirs.ask(), headers={"Idempotency-Key": "k"}))["id"] != first["id"]


def test_only_its_client_pays_what_was_agreed(agreed: Agreed, url: str, new_person: SignIn) -> None:
    http = agreed.client.http
    waiting = agree(url, new_person, status="submitted")
    assert [
        refused(http.post(INTENT, json=agreed.ask(amount=100))),
        refused(http.post(INTENT, json=agreed.ask(currency="eur"))),
        refused(http.post(INTENT, json=agreed.ask(proposal_id=waiting.proposal))),
        refused(http.post(INTENT, json=agreed.ask(job_id=waiting.job))),
        refused(http.post(INTENT, json={"amount": 25_000, "currency": "usd"})),
        refused(agreed.freelancer.http.post(INTENT, json=agreed.ask())),
        refused(waiting.client.http.post(INTENT, json=waiting.ask())),
        refused(waiting.client.http.post(INTENT, json={"job_id": waiting.job, "amount": 25_000, "currency": "usd"})),
    ] == [
        (422, "check_failed"),
        (422, "check_failed"),
        (404, "not_found"),
        (404, "not_found"),
        (422, "invalid_envelope"),
        (403, "forbidden"),
        (409, "state_conflict"),
        (404, "not_found"),
    ]
    assert payments_of(url, agreed) == []


BAD: list[tuple[str, Any, int]] = [
    ("nothing", {}, 422),
    ("a list", [], 422),
    ("no amount", {"amount": None}, 422),
    ("zero", {"amount": 0}, 422),
    ("negative", {"amount": -1}, 422),
    ("a fraction", {"amount": 250.5}, 422),
    ("text", {"amount": "25000"}, 422),
    ("true", {"amount": True}, 422),
    ("beyond what is charged", {"amount": 100_000_000}, 422),
    ("beyond bigint", {"amount": 10**30}, 422),
    ("a currency of four letters", {"currency": "usdt"}, 422),
    ("a currency with a line end", {"currency": "usd\n"}, 422),
    ("a currency that is none", {"currency": "ÜSD"}, 422),
    ("a proposal that is no uuid", {"proposal_id": "1 OR 1=1"}, 422),
    ("a platform that is none", {"platform": "fridge"}, 422),
    ("an empty fingerprint", {"deviceFingerprint": ""}, 422),
    ("a long fingerprint", {"deviceFingerprint": "f" * 513}, 422),
    ("an object for a fingerprint", {"deviceFingerprint": {}}, 422),
    ("an empty key", {"idempotency_key": ""}, 422),
    ("a long key", {"idempotency_key": "k" * 256}, 422),
    ("a key with a space", {"idempotency_key": "a b"}, 422),
    ("a member that is none", {"amount_cents": 25_000}, 422),
    ("NUL", '{"amount": 25000, "currency": "usd", "deviceFingerprint": "a\\u0000"}', 400),
    ("half an emoji", '{"amount": 25000, "currency": "usd", "deviceFingerprint": "\\ud83d"}', 400),
    ("NaN", '{"amount": NaN}', 400),
    ("an exponent", '{"amount": 1e999}', 400),
    ("the same twice", '{"amount": 1, "amount": 25000, "currency": "usd"}', 400),
    ("deep", '{"amount":' + "[" * 100 + "]" * 100 + "}", 400),
]


def test_bad_input_is_refused_and_leaves_nothing(agreed: Agreed, url: str, stripe: StripeServer) -> None:
    for name, given, status in BAD:
        if isinstance(given, str):
            answer = agreed.client.http.post(INTENT, content=given, headers={"content-type": "application/json"})
        else:
            answer = agreed.client.http.post(INTENT, json={**agreed.ask(), **given} if given else given)
        assert answer.status_code == status, (name, answer.text)
    for key in ("", "a b", "k" * 256, "\xe9"):
        headers = {"Idempotency-Key": key.encode("latin-1")}
        answer = agreed.client.http.post(INTENT, json=agreed.ask(), headers=headers)
        assert (answer.status_code, key) == (422, key)
    assert (payments_of(url, agreed), stripe.requests) == ([], [])


REFUSALS: list[tuple[str, tuple[int, dict[str, Any]], int, tuple[int, str], list[tuple[Any, ...]]]] = [
    (
        "Stripe refuses",
        (400, error("invalid_request_error", "Amount must be at least 50 cents")),
        1,
        (422, "payment_refused"),
        [("canceled", None)],
    ),
    ("Stripe fails", (500, error("api_error", "oops")), 3, (503, "unavailable"), [("created", None)]),
    ("Stripe is busy", (429, error("rate_limit_error", "slow")), 1, (503, "unavailable"), [("created", None)]),
    ("the key is wrong", (401, error("invalid_request_error", "sk_***")), 1, (503, "unavailable"), [("created", None)]),
]


@pytest.mark.parametrize(("name", "answer", "times", "expected", "left"), REFUSALS, ids=[each[0] for each in REFUSALS])
def test_what_stripe_does_not_take(
    agreed: Agreed, stripe: StripeServer, url: str, name: str, answer: Any, times: int, expected: Any, left: Any
) -> None:
    stripe.behave += [answer] * times
    said = agreed.client.http.post(INTENT, json=agreed.ask(), headers={"Idempotency-Key": "k"})
    assert (refused(said), payments_of(url, agreed)) == (expected, left)
    assert "sk_" not in said.text
    again = agreed.client.http.post(INTENT, json=agreed.ask(), headers={"Idempotency-Key": "k"})
    if expected[1] == "payment_refused":
        # It stays so under this key; another is another try.
        assert (refused(again), again.json()["detail"]) == (expected, "Amount must be at least 50 cents")
        again = agreed.client.http.post(INTENT, json=agreed.ask(), headers={"Idempotency-Key": "l"})
    assert (ok(again)["status"], payments_of(url, agreed)[-1][0]) == ("requires_payment", "requires_payment")


def test_what_is_paid_for_stays(agreed: Agreed, url: str, owner_person: Callable[[], Any]) -> None:
    """Nobody deletes a job, a proposal or a person that a payment names: the trail of money has no holes."""
    ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    office = owner_person()
    for kind, row in (("job", agreed.job), ("proposal", agreed.proposal)):
        gone = {
            "resource_type": f"marketplace.{kind}",
            "action": "delete",
            "payload": {"id": row},
            "base": {"none": True},
        }
        (result,) = ok(office.http.post("/api/v1/mobile/sync/push", json={"items": [gone]}))["results"]
        assert (result["status"], result["code"]) == ("error", "still_referenced"), result
    for person in (agreed.client, agreed.freelancer):
        assert refused(office.http.delete(f"/api/v1/users/{person.id}")) == (409, "state_conflict")
    assert len(payments_of(url, agreed)) == 1


def test_who_sees_which_payments(agreed: Agreed, url: str, new_person: SignIn, owner_person: Callable[[], Any]) -> None:
    made = [ok(agreed.client.http.post(INTENT, json=agreed.ask()))]
    made[0].pop("client_secret")
    stranger = new_person(f"stranger-{uuid4().hex[:8]}")
    for person in (agreed.client, agreed.freelancer):
        assert ok(person.http.get("/api/v1/payments")) == {"items": made, "next": None}
    assert ok(stranger.http.get("/api/v1/payments")) == {"items": [], "next": None}
    assert refused(stranger.http.get(f"/api/v1/payments/{made[0]['id']}")) == (404, "not_found")
    office = owner_person()
    assert ok(office.http.get(f"/api/v1/payments/{made[0]['id']}")) == made[0]
    seen, after = [], None
    while True:
        page = ok(office.http.get("/api/v1/payments", params={"limit": 2} | ({"after": after} if after else {})))
        seen += page["items"]
        after = page["next"]
        if after is None:
            break
    assert [each["id"] for each in seen] == [
        str(row[0]) for row in rows(url, "SELECT id FROM marketplace.payments ORDER BY created_at DESC, id DESC")
    ]
    assert refused(office.http.get("/api/v1/payments", params={"after": "x"})) == (400, "invalid_parameter")


@pytest.fixture
def owner_person(new_person: SignIn) -> Callable[[], Any]:
    return lambda: new_person(f"olga-{uuid4().hex[:8]}@example.org", role="OWNER")
