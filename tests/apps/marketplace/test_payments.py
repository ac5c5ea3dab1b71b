"""Payments through Stripe, whose API a local server speaks: asked for once, paid once, told once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
    agree,
    agree_again,
    deliver,
    earned,
    event,
    ok,
    refused,
    rows,
    told,
)
from tests.apps.marketplace.stripe_server import SECRET_KEY, WEBHOOK_SECRET, StripeServer, error, stripe_server
from tests.fixtures.accounts import SignIn
from tests.fixtures.cluster import Cluster
from tests.fixtures.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""Stripe's SDK hands httpx its body in an old way."""


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    with stripe_server() as running:
        yield running


@pytest.fixture(scope="module")
def module_settings(
    cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory, stripe: StripeServer
) -> Iterator[Settings]:
    folder: Path = tmp_path_factory.mktemp("data")
    (folder / "key-default").write_text(f"{SECRET_KEY}\n")
    (folder / "webhook").write_text(WEBHOOK_SECRET)
    url = cluster.create_database(template)
    yield Settings(
        database_url=url,
        data_dir=folder,
        pool_size=4,
        apps=("marketplace",),
        stripe_secret_key_file=folder / "key-{tenant}",
        stripe_webhook_secret_file=folder / "webhook",
        stripe_api_base=stripe.url,
    )
    cluster.drop_database(url)


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url


@pytest.fixture
def agreed(url: str, new_person: SignIn) -> Agreed:
    return agree(url, new_person)


@pytest.fixture(autouse=True)
def fresh(stripe: StripeServer) -> None:
    stripe.requests.clear()
    stripe.behave.clear()
    stripe.on_create = lambda: None


def send(server: Server, payment: dict[str, Any], kind: str, **more: Any) -> Any:
    """An event about the intent that Stripe made for this payment."""
    return ok(deliver(server.url, event(payment["id"], kind, **{"id": payment["gateway_id"], **more}), WEBHOOK_SECRET))


def payments_of(url: str, agreed: Agreed) -> list[tuple[Any, ...]]:
    return rows(url, "SELECT status, gateway_id FROM marketplace.payments WHERE proposal_id = %s", agreed.proposal)


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


@pytest.fixture
def owner_person(new_person: SignIn) -> Callable[[], Any]:
    return lambda: new_person(f"olga-{uuid4().hex[:8]}@example.org", role="OWNER")
