"""Refunds: never more than was paid, once for each key, and what the gateway says of them, in any order."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from homing.apps.marketplace.payments.look_again import look_again
from homing.jobs import Job
from homing.server.tenant import open_tenant
from homing.settings import Settings
from tests.apps.marketplace.paying import API, INTENT, Agreed, deliver, earned, ok, refused, rows, send, told
from tests.apps.marketplace.payments.stripe_server import WEBHOOK_SECRET, StripeServer, error
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""Stripe's SDK hands httpx its body in an old way."""


@pytest.fixture
def paid(server: Server, agreed: Agreed) -> dict[str, Any]:
    """A payment of 250 dollars that succeeded."""
    payment: dict[str, Any] = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    send(server, payment, "succeeded")
    return payment


def back(person: Person, payment: dict[str, Any], key: str | None = None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return person.http.post(f"{API}/payments/{payment['id']}/refunds", json=body, headers=headers)


def shown(person: Person, payment: dict[str, Any]) -> tuple[str, int, list[tuple[str, int]]]:
    """Status, cents that went or go back, and the refunds, the newest first."""
    found = ok(person.http.get(f"{API}/payments/{payment['id']}"))
    listed = ok(person.http.get(f"{API}/payments/{payment['id']}/refunds"))["items"]
    return found["status"], found["refunded"], [(each["status"], each["amount"]) for each in listed]


def hint(server: Server, payment: dict[str, Any], kind: str, **more: Any) -> Any:
    """An event of Stripe's that something happened to the payment's refunds."""
    document = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "created": int(time.time()),
        "type": kind,
        "data": {"object": {"id": "x", "payment_intent": payment["gateway_id"], **more}},
    }
    return ok(deliver(server.url, document, WEBHOOK_SECRET))


def settle(stripe: StripeServer, payment: dict[str, Any], status: str) -> None:
    for each in stripe.refunds.values():
        if each["payment_intent"] == payment["gateway_id"]:
            each["status"] = status


def test_a_part_and_the_rest_go_back(
    server: Server, agreed: Agreed, stripe: StripeServer, url: str, paid: dict[str, Any], owner: Person
) -> None:
    first = ok(back(agreed.freelancer, paid, "one", amount=10_000, reason="The half was enough"))
    assert (first["status"], first["amount"], first["reason"]) == ("pending", 10_000, "The half was enough")
    assert first["requested_by"] == agreed.freelancer.id
    method, path, form, key = stripe.requests[-1]
    assert (method, path, key) == ("POST", "/v1/refunds", f"homing-refund-{first['id']}")
    assert (form["payment_intent"], form["amount"]) == (paid["gateway_id"], "10000")
    assert (shown(agreed.client, paid), earned(url, agreed.freelancer)) == (
        ("succeeded", 10_000, [("pending", 10_000)]),
        25_000,
    )
    settle(stripe, paid, "succeeded")
    assert hint(server, paid, "charge.refunded") == {"received": True, "applied": True}
    assert hint(server, paid, "refund.updated") == {"received": True, "applied": False}
    assert earned(url, agreed.freelancer) == 15_000
    assert told(url, agreed.client) == ["payment_refunded"]
    assert ok(back(owner, paid, "two"))["amount"] == 15_000  # without an amount: what is left
    settle(stripe, paid, "succeeded")
    hint(server, paid, "charge.refunded")
    assert (shown(owner, paid), earned(url, agreed.freelancer)) == (
        ("succeeded", 25_000, [("succeeded", 15_000), ("succeeded", 10_000)]),
        0,
    )
    assert refused(back(owner, paid, "three")) == (409, "state_conflict")


def test_a_key_gives_the_same_refund(agreed: Agreed, stripe: StripeServer, paid: dict[str, Any]) -> None:
    first = ok(back(agreed.freelancer, paid, "a", amount=100))
    assert ok(back(agreed.freelancer, paid, "a", amount=100)) == first
    assert ok(back(agreed.freelancer, paid, None, amount=100, idempotency_key="a")) == first
    assert refused(back(agreed.freelancer, paid, "a", amount=101)) == (409, "reused_with_other_body")
    assert refused(back(agreed.freelancer, paid, None, amount=100)) == (422, "invalid_envelope")
    assert shown(agreed.client, paid)[1:] == (100, [("pending", 100)])
    assert len([each for each in stripe.requests if each[1] == "/v1/refunds"]) == 1


def test_never_more_than_was_paid_however_many_ask_at_once(
    agreed: Agreed, stripe: StripeServer, paid: dict[str, Any], url: str
) -> None:
    barrier = threading.Barrier(6)

    def give(n: int) -> tuple[int, str | None]:
        with httpx.Client(base_url=agreed.client.http.base_url, headers=agreed.freelancer.http.headers) as http:
            barrier.wait()
            body = {"amount": 9_000, "idempotency_key": f"at-once-{n % 5}"}
            answer = http.post(f"{API}/payments/{paid['id']}/refunds", json=body, timeout=60)
            return answer.status_code, answer.json().get("code")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(give, range(6)))
    assert {each for each in answers if each[0] != 200} == {(422, "check_failed")}
    assert shown(agreed.client, paid)[1:] == (18_000, [("pending", 9_000)] * 2)
    assert len([each for each in stripe.refunds.values() if each["payment_intent"] == paid["gateway_id"]]) == 2
    with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.CheckViolation):  # nor by any other writer
        conn.execute("INSERT INTO marketplace.refunds (payment_id, amount_cents) VALUES (%s, 7001)", [paid["id"]])


def test_whoever_was_paid_gives_back_or_the_office(
    agreed: Agreed, paid: dict[str, Any], new_person: SignIn, owner: Person
) -> None:
    stranger = new_person(f"stranger-{uuid4().hex[:8]}")
    assert refused(back(agreed.client, paid, "x")) == (403, "forbidden")
    assert refused(back(stranger, paid, "x")) == (404, "not_found")
    assert refused(stranger.http.get(f"{API}/payments/{paid['id']}/refunds")) == (404, "not_found")
    for body in (
        {"amount": 0},
        {"amount": -1},
        {"amount": 2**63},
        {"amount": 1.5},
        {"reason": "x" * 501},
        {"other": 1},
    ):
        assert back(owner, paid, "x", **body).status_code == 422, body
    assert back(owner, paid, "x", reason="a\0b").status_code == 400
    assert refused(back(owner, paid, "x", amount=25_001)) == (422, "check_failed")
    assert refused(owner.http.post(f"{API}/payments/{uuid4()}/refunds", json={"idempotency_key": "x"}))[0] == 404
    assert shown(owner, paid)[1:] == (0, [])


def test_what_was_not_paid_does_not_go_back(agreed: Agreed) -> None:
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    assert refused(back(agreed.freelancer, payment, "x")) == (409, "state_conflict")


def test_a_refund_that_stripe_refuses_counts_no_more(
    agreed: Agreed, stripe: StripeServer, paid: dict[str, Any]
) -> None:
    stripe.behave.append((400, error("invalid_request_error", "Charge is disputed")))
    for _ in range(2):
        answer = back(agreed.freelancer, paid, "a")
        assert (refused(answer), answer.json()["detail"]) == ((422, "payment_refused"), "Charge is disputed")
    assert shown(agreed.client, paid)[1:] == (0, [("failed", 25_000)])
    assert ok(back(agreed.freelancer, paid, "b"))["status"] == "pending"


async def test_one_that_got_no_answer_goes_on(
    settings: Settings, agreed: Agreed, stripe: StripeServer, paid: dict[str, Any], url: str
) -> None:
    """When it is asked for again, within the day that Stripe remembers the key; after that, as Stripe knows it."""
    down = (500, error("api_error", "down"))
    stripe.behave.extend([down] * 3)
    assert refused(back(agreed.freelancer, paid, "a", amount=1_000)) == (503, "unavailable")
    assert shown(agreed.client, paid)[1:] == (1_000, [("requested", 1_000)])
    assert ok(back(agreed.freelancer, paid, "a", amount=1_000))["status"] == "pending"
    stripe.behave.extend([down] * 3)
    assert refused(back(agreed.freelancer, paid, "b", amount=2_000)) == (503, "unavailable")
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE marketplace.refunds SET created_at = now() - interval '22 hours'")
    before = len(stripe.refunds)
    assert ok(back(agreed.freelancer, paid, "b", amount=2_000))["status"] == "requested"
    assert len(stripe.refunds) == before
    settle(stripe, paid, "succeeded")
    async with open_tenant(settings) as tenant:
        await look_again(tenant, Job(1, {}, 1))
    assert shown(agreed.client, paid)[1] == 1_000
    assert sorted(shown(agreed.client, paid)[2]) == [("failed", 2_000), ("succeeded", 1_000)]
    assert earned(url, agreed.freelancer) == 24_000


def test_a_refund_made_at_stripe_is_followed(
    server: Server, agreed: Agreed, stripe: StripeServer, paid: dict[str, Any], url: str
) -> None:
    stripe.refunds["dashboard"] = {
        "id": f"re_{uuid4().hex}", "object": "refund", "amount": 5_000, "currency": "usd",
        "payment_intent": paid["gateway_id"], "status": "succeeded", "metadata": {"refund_id": "not ours"},
    }  # fmt: skip
    for n, kind in enumerate(itertools.permutations(("charge.refunded", "refund.created", "refund.updated"))):
        assert [hint(server, paid, each)["applied"] for each in kind] == [n == 0, False, False]
    assert (shown(agreed.client, paid), earned(url, agreed.freelancer)) == (
        ("succeeded", 5_000, [("succeeded", 5_000)]),
        20_000,
    )
    # The client's bank sends it back: the freelancer has it again.
    settle(stripe, paid, "failed")
    assert hint(server, paid, "refund.failed")["applied"]
    assert (shown(agreed.client, paid)[1], earned(url, agreed.freelancer)) == (0, 25_000)
    assert not hint(server, {"gateway_id": "pi_of_another_shop"}, "charge.refunded")["applied"]
    assert not hint(server, paid, "charge.refunded", payment_intent=None)["applied"]


def test_a_refund_may_be_told_of_before_stripes_answer(
    server: Server, agreed: Agreed, stripe: StripeServer, paid: dict[str, Any], url: str
) -> None:
    def tell_first() -> None:
        hint(server, paid, "charge.refunded")

    stripe.on_create = tell_first
    assert ok(back(agreed.freelancer, paid, "a"))["status"] == "pending"
    stripe.on_create = lambda: None
    settle(stripe, paid, "succeeded")
    barrier = threading.Barrier(4)

    def tell(_: int) -> Any:
        barrier.wait()
        return hint(server, paid, "refund.updated")["applied"]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(tell, range(4))) == [False, False, False, True]
    assert earned(url, agreed.freelancer) == 0
    query = "SELECT count(*) FROM marketplace.refunds WHERE payment_id = %s"
    assert rows(url, query, paid["id"]) == [(1,)]
