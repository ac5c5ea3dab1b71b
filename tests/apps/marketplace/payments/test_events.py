"""What Stripe tells of payments: taken once, in any order, and only when it is signed."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from homing.apps.marketplace.payments.look_again import look_again
from homing.jobs import Job
from homing.server.tenant import open_tenant
from homing.settings import Settings
from tests.apps.marketplace.paying import (
    INTENT,
    Agreed,
    agree_again,
    deliver,
    earned,
    event,
    ok,
    payments_of,
    refused,
    rows,
    send,
    told,
)
from tests.apps.marketplace.payments.stripe_server import WEBHOOK_SECRET, StripeServer
from tests.fixtures.accounts import SignIn
from tests.fixtures.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""Stripe's SDK hands httpx its body in an old way."""


def test_a_payment_that_succeeds_is_earned_and_told_once(server: Server, agreed: Agreed, url: str) -> None:
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    version = "SELECT version FROM marketplace.profiles WHERE user_id = %s"
    ((before,),) = rows(url, version, agreed.freelancer.id)
    succeeded = event(payment["id"], "succeeded", id=payment["gateway_id"])
    barrier = threading.Barrier(6)

    def tell(n: int) -> Any:
        again = dict(succeeded, id=succeeded["id"] if n % 2 else f"evt_{n}")  # the same, and others that say the same
        barrier.wait()
        return ok(deliver(server.url, again, WEBHOOK_SECRET))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(tell, range(6)))
    assert sorted(answer["applied"] for answer in answers) == [False] * 5 + [True]
    assert earned(url, agreed.freelancer) == 25_000
    assert told(url, agreed.freelancer) == ["payment_received"]
    assert rows(url, version, agreed.freelancer.id) == [(before + 1,)]
    assert send(server, payment, "succeeded") == {"received": True, "applied": False}
    shown = ok(agreed.freelancer.http.get(f"/api/v1/payments/{payment['id']}"))
    assert (shown["status"], shown["settled_at"] is not None) == ("succeeded", True)
    # Asked for again: by the old key it is what it became; as a new wish it is paid already.
    paid = agreed.client.http.post(INTENT, json=agreed.ask())
    assert (refused(paid), paid.json()["payment_id"]) == ((409, "state_conflict"), payment["id"])


def test_in_any_order_the_events_end_in_the_same(server: Server, url: str, agreed: Agreed) -> None:
    for done, order in enumerate(itertools.permutations(("processing", "payment_failed", "succeeded"))):
        agreed = agree_again(url, agreed.client, agreed.freelancer)
        payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
        ranks = []
        for kind in order:
            send(server, payment, kind, last_payment_error={"message": "declined"})
            ((rank,),) = rows(
                url,
                "SELECT marketplace.payment_rank(status) FROM marketplace.payments WHERE id = %s",
                UUID(payment["id"]),
            )
            ranks.append(rank)
        assert ranks == sorted(ranks), order
        shown = ok(agreed.client.http.get(f"/api/v1/payments/{payment['id']}"))
        assert (shown["status"], shown["error"]) == ("succeeded", None), order
        assert earned(url, agreed.freelancer) == 25_000 * (done + 1), order


def test_an_event_may_come_before_stripes_answer(
    server: Server, agreed: Agreed, stripe: StripeServer, url: str
) -> None:
    """The payment is paid while the request that asked for it still waits for Stripe."""

    def pay_now() -> None:
        ((payment,),) = rows(url, "SELECT id FROM marketplace.payments WHERE proposal_id = %s", agreed.proposal)
        upcoming = f"pi_{len(stripe.intents) + 1}"
        ok(deliver(server.url, event(str(payment), "succeeded", id=upcoming), WEBHOOK_SECRET))

    stripe.on_create = pay_now
    answer = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    assert (answer["status"], answer["client_secret"]) == ("succeeded", None)
    assert earned(url, agreed.freelancer) == 25_000


def test_a_declined_card_is_told_and_tried_again(server: Server, agreed: Agreed, url: str) -> None:
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    send(server, payment, "payment_failed", last_payment_error={"message": "Your card was declined."})
    again = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    assert (again["id"], again["status"], again["error"]) == (payment["id"], "failed", "Your card was declined.")
    assert again["client_secret"] == payment["client_secret"]
    assert told(url, agreed.client) == ["payment_failed"]
    send(server, payment, "succeeded")
    assert (payments_of(url, agreed), earned(url, agreed.freelancer)) == (
        [("succeeded", payment["gateway_id"])],
        25_000,
    )


def test_a_canceled_payment_makes_room_for_another(server: Server, agreed: Agreed, url: str) -> None:
    http, key = agreed.client.http, {"Idempotency-Key": "first"}
    payment = ok(http.post(INTENT, json=agreed.ask(), headers=key))
    send(server, payment, "canceled")
    old = ok(http.post(INTENT, json=agreed.ask(), headers=key))
    assert (old["id"], old["status"], old["client_secret"]) == (payment["id"], "canceled", None)
    other = ok(http.post(INTENT, json=agreed.ask(), headers={"Idempotency-Key": "second"}))
    assert (other["id"] != payment["id"], other["status"]) == (True, "requires_payment")
    # Were money to move after all, it is counted.
    send(server, payment, "succeeded")
    assert earned(url, agreed.freelancer) == 25_000


def test_asking_and_being_told_at_one_moment(server: Server, agreed: Agreed, url: str) -> None:
    """Devices ask with keys of their own while the event comes: nobody can pay a second time, whoever was first."""
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    succeeded = event(payment["id"], "succeeded", id=payment["gateway_id"])
    barrier = threading.Barrier(6)

    def act(n: int) -> tuple[int, Any]:
        barrier.wait()
        if n == 0:
            return deliver(server.url, succeeded, WEBHOOK_SECRET).status_code, None
        with httpx.Client(base_url=agreed.client.http.base_url, headers=agreed.client.http.headers) as http:
            answer = http.post(INTENT, json=agreed.ask(idempotency_key=f"at-once-{n}"), timeout=60)
            return answer.status_code, answer.json().get("id", payment["id"])

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(act, range(6)))
    assert answers[0][0] == 200
    assert {status for status, _ in answers[1:]} <= {200, 409}
    assert {found for _, found in answers[1:]} == {payment["id"]}
    assert (payments_of(url, agreed), earned(url, agreed.freelancer)) == (
        [("succeeded", payment["gateway_id"])],
        25_000,
    )


async def test_a_payment_is_found_paid_whose_event_never_came(
    server: Server, settings: Settings, agreed: Agreed, stripe: StripeServer, url: str, new_person: SignIn
) -> None:
    """By whoever asks again; and by a job, for those who do not."""
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    stripe.intents[payment["gateway_id"]]["status"] = "succeeded"
    again = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    assert (again["status"], again["client_secret"], earned(url, agreed.freelancer)) == ("succeeded", None, 25_000)
    forgotten, young = (agree_again(url, agreed.client, agreed.freelancer) for _ in range(2))
    for each in (forgotten, young):
        made = ok(each.client.http.post(INTENT, json=each.ask()))
        stripe.intents[made["gateway_id"]]["status"] = "succeeded"
    with psycopg.connect(url) as conn:
        conn.execute(
            "UPDATE marketplace.payments SET created_at = now() - interval '1 hour' WHERE proposal_id = %s",
            [forgotten.proposal],
        )
    async with open_tenant(settings) as tenant:
        await look_again(tenant, Job(1, {}, 1))
    assert [payments_of(url, each)[0][0] for each in (forgotten, young)] == ["succeeded", "requires_payment"]
    assert earned(url, agreed.freelancer) == 50_000


def unsigned(server: Server, payload: bytes, headers: dict[str, Any]) -> httpx.Response:
    return httpx.post(
        f"{server.url}/api/v1/payments/webhook",
        content=payload,
        headers={"content-type": "application/json", **headers},
        timeout=30,
    )


def test_only_signed_events_are_looked_at(server: Server, agreed: Agreed, url: str) -> None:
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    good = event(payment["id"], "succeeded", id=payment["gateway_id"])
    answers = [
        unsigned(server, b"{}", {}),
        *(
            unsigned(server, b"{}", {"stripe-signature": header})
            for header in (b"", b"t=1,v1=", b"t=,v1=x", b"v1=x", b"t=9" + b"9" * 1900, b"x" * 3000, b"t=1,v1=\xe9")
        ),
        unsigned(server, b"\xff", {"stripe-signature": "t=1,v1=00"}),
        deliver(server.url, good, "whsec_another"),
        deliver(server.url, good, WEBHOOK_SECRET, at=1_000_000_000),
    ]
    assert {refused(answer) for answer in answers} == {(400, "invalid_signature")}
    assert len({answer.text for answer in answers}) == 1
    assert (earned(url, agreed.freelancer), payments_of(url, agreed)[0][0]) == (0, "requires_payment")


def test_signed_events_that_do_not_fit(server: Server, agreed: Agreed, url: str) -> None:
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))

    def sent(document: Any) -> Any:
        answer = deliver(server.url, document, WEBHOOK_SECRET)
        return answer.json()["applied"] if answer.status_code == 200 else refused(answer)

    def about(kind: str = "succeeded", **more: Any) -> dict[str, Any]:
        return event(payment["id"], kind, **{"id": payment["gateway_id"], **more})

    cases: list[tuple[Any, Any]] = [
        (b"", (400, "invalid_json")),
        (b"[]", (422, "invalid_envelope")),
        (b'{"id": "a", "id": "b"}', (400, "duplicate_key")),
        ({**about(), "id": ""}, (422, "invalid_envelope")),
        ({**about(), "id": "e" * 256}, (422, "invalid_envelope")),
        ({**about(), "created": 10**20}, (422, "invalid_envelope")),
        ({**about(), "data": None}, (422, "invalid_envelope")),
        ({**about(), "data": {"object": []}}, (422, "invalid_envelope")),
        (about(amount_received=1), (409, "state_conflict")),
        (about(amount_received=10**40), (409, "state_conflict")),
        (about(currency="eur"), (409, "state_conflict")),
        (about(id="pi_somebody_elses"), (409, "state_conflict")),
        # Nothing of ours: taken, so that Stripe does not send it for days, and forgotten.
        ({**about(), "type": "customer.created", "data": {"object": {"id": 1}}}, False),
        (about(metadata={}), False),
        (about(metadata={"payment_id": "x"}), False),
        (about(metadata={"payment_id": {"x": 1}}), False),
        (about(metadata={"payment_id": str(uuid4())}), False),
        (about("partially_funded"), False),
    ]
    for document, expected in cases:
        assert sent(document) == expected, document
    assert (earned(url, agreed.freelancer), payments_of(url, agreed)[0][0]) == (0, "requires_payment")
    assert sent(about()) is True


def test_the_database_lets_no_payment_go_back(agreed: Agreed, server: Server, url: str) -> None:
    payment = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    send(server, payment, "succeeded")
    for change in (
        "status = 'failed', settled_at = NULL",
        "amount_cents = 1",
        "gateway_id = 'pi_x'",
        "gateway = 'sandbox'",
    ):
        with pytest.raises(psycopg.errors.CheckViolation), psycopg.connect(url) as conn:
            conn.execute(f"UPDATE marketplace.payments SET {change} WHERE id = %s".encode(), [payment["id"]])
