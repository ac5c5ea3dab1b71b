"""Agreements to pay for, and what tests of payments do again and again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from homing.apps.marketplace.payments.sandbox import sign
from tests.apps.marketplace.payments.stripe_server import WEBHOOK_SECRET
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

API = "/api/v1"
INTENT = f"{API}/payments/create-intent"


@dataclass(frozen=True)
class Agreed:
    """A client's accepted proposal of a freelancer, for 250 dollars unless said otherwise."""

    client: Person
    freelancer: Person
    proposal: str
    job: str
    amount: int = 25_000
    currency: str = "USD"

    def ask(self, **more: Any) -> dict[str, Any]:
        return {"proposal_id": self.proposal, "amount": self.amount, "currency": self.currency.lower(), **more}


def agree(url: str, new_person: SignIn, *, amount: int = 25_000, status: str = "accepted") -> Agreed:
    """People of their own and what they agree on."""
    name = uuid4().hex[:8]
    people = (new_person(f"client-{name}"), new_person(f"freelancer-{name}"))
    return agree_again(url, *people, amount=amount, status=status)


def agree_again(
    url: str, client: Person, freelancer: Person, *, amount: int = 25_000, status: str = "accepted"
) -> Agreed:
    """A job and a proposal for it, straight in the tables: how they get there is another test."""
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO marketplace.profiles (user_id, name) VALUES (%s, 'Fay') ON CONFLICT DO NOTHING",
            [freelancer.id],
        )
        (job,) = one(
            conn, "INSERT INTO marketplace.jobs (client_id, title) VALUES (%s, 'A site') RETURNING id", client.id
        )
        (proposal,) = one(
            conn,
            "INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, amount_cents)"
            " VALUES (%s, %s, %s, %s) RETURNING id",
            *(job, client.id, freelancer.id, amount),
        )
        if status != "submitted":
            conn.execute("UPDATE marketplace.proposals SET status = %s WHERE id = %s", [status, proposal])
    return Agreed(client, freelancer, str(proposal), str(job), amount)


def one(conn: psycopg.Connection, query: str, *params: Any) -> tuple[Any, ...]:
    row = conn.execute(query.encode(), params).fetchone()
    assert row is not None
    return row


def rows(url: str, query: str, *params: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(query.encode(), params).fetchall()


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def event(payment: str, kind: str, **more: Any) -> dict[str, Any]:
    """What Stripe sends about the payment's intent."""
    intent = {"id": "pi_1", "object": "payment_intent", "currency": "usd", "metadata": {"payment_id": payment}}
    intent |= {"amount": 25_000, "amount_received": 25_000 if kind == "succeeded" else 0}
    intent |= more
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "api_version": "2026-01-28",
        "created": int(time.time()),
        "livemode": False,
        "type": f"payment_intent.{kind}",
        "data": {"object": intent},
    }


def deliver(
    url: str, document: Any, secret: str, *, at: float | None = None, header: str | None = None
) -> httpx.Response:
    """Send an event as a gateway does. ``document``: what is encoded, or bytes as they are."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    signed = sign(payload, secret, now=int(time.time() if at is None else at)) if header is None else header
    return httpx.post(
        f"{url}{API}/payments/webhook",
        content=payload,
        headers={"content-type": "application/json; charset=utf-8", "stripe-signature": signed},
        timeout=30,
    )


def earned(url: str, person: Person) -> int:
    ((cents,),) = rows(url, "SELECT total_earnings_cents FROM marketplace.profiles WHERE user_id = %s", UUID(person.id))
    return int(cents)


def told(url: str, person: Person) -> list[str]:
    query = "SELECT notification_type FROM homing.push_notifications WHERE user_id = %s ORDER BY id"
    return [kind for (kind,) in rows(url, query, UUID(person.id))]


def send(server: Server, payment: dict[str, Any], kind: str, **more: Any) -> Any:
    """An event about the intent that Stripe made for this payment."""
    return ok(deliver(server.url, event(payment["id"], kind, **{"id": payment["gateway_id"], **more}), WEBHOOK_SECRET))


def payments_of(url: str, agreed: Agreed) -> list[tuple[Any, ...]]:
    return rows(url, "SELECT status, gateway_id FROM marketplace.payments WHERE proposal_id = %s", agreed.proposal)
