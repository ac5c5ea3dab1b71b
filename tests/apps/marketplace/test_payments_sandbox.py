"""The sandbox: the same payments without money; and when there are none at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from homing.apps.marketplace.payments.choose import gateway_of
from homing.apps.marketplace.payments.sandbox import Sandbox
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant, open_tenant
from homing.settings import Settings
from tests.apps.marketplace.paying import API, INTENT, Agreed, agree, deliver, earned, event, ok, refused, told
from tests.fixtures.accounts import SignIn
from tests.fixtures.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""Stripe's SDK hands httpx its body in an old way."""

CONFIRM = f"{API}/payments/sandbox/confirm"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url, data_dir=tmp_path, pool_size=4, apps=("marketplace",), payments="sandbox"
    )


@pytest.fixture
def agreed(settings: Settings, new_person: SignIn) -> Agreed:
    assert settings.database_url is not None
    return agree(settings.database_url, new_person)


def test_a_payment_in_the_sandbox(server: Server, settings: Settings, agreed: Agreed) -> None:
    assert settings.database_url is not None
    http = agreed.client.http
    answer = ok(http.post(INTENT, json=agreed.ask(platform="mobile", deviceFingerprint="abc")))
    assert (answer["gateway"], answer["status"]) == ("sandbox", "requires_payment")
    assert answer["client_secret"].startswith(f"sandbox_pi_{answer['id'].replace('-', '')}_secret_")
    assert ok(http.post(INTENT, json=agreed.ask())) == answer
    secret = {"client_secret": answer["client_secret"]}

    def status() -> Any:
        return ok(http.get(f"{API}/payments/{answer['id']}"))["status"]

    seen = []
    for outcome in ("failed", "processing", "succeeded", "succeeded", "canceled"):
        applied = ok(http.post(CONFIRM, json={**secret, "outcome": outcome}))["applied"]
        seen.append((applied, status()))
    assert seen == [
        (True, "failed"),
        (False, "failed"),
        (True, "succeeded"),
        (False, "succeeded"),
        (False, "succeeded"),
    ]
    assert earned(settings.database_url, agreed.freelancer) == 25_000
    assert told(settings.database_url, agreed.client) == ["payment_failed"]
    assert told(settings.database_url, agreed.freelancer) == ["payment_received"]


def test_the_sandbox_is_confirmed_by_who_has_the_secret_and_signs_its_events(
    server: Server, settings: Settings, agreed: Agreed, new_person: SignIn
) -> None:
    assert settings.database_url is not None
    answer = ok(agreed.client.http.post(INTENT, json=agreed.ask()))
    other = agree(settings.database_url, new_person)
    for secret in (
        "",
        "x",
        "sandbox_pi_",
        f"{answer['gateway_id']}_secret_{'0' * 48}",
        f"{answer['gateway_id']}_secret_é",
    ):
        assert refused(agreed.client.http.post(CONFIRM, json={"client_secret": secret})) == (404, "not_found")
    theirs = other.client.http.post(CONFIRM, json={"client_secret": answer["client_secret"]})
    assert refused(theirs) == (404, "not_found")
    # By the webhook itself: signed with what only the server can derive, and nothing else.
    gateway = gateway_of(server.tenant)
    assert isinstance(gateway, Sandbox)
    succeeded = event(answer["id"], "succeeded", id=answer["gateway_id"])
    assert refused(deliver(server.url, succeeded, "whsec_sandbox_guessed")) == (400, "invalid_signature")
    assert ok(deliver(server.url, succeeded, gateway.webhook_secrets()[0])) == {"received": True, "applied": True}


def chosen(tenant: Tenant) -> str:
    try:
        return gateway_of(tenant).name
    except Problem as problem:
        return problem.code.code


@pytest.mark.anyio
async def test_nobody_gets_the_sandbox_by_mistake(database_url: str, tmp_path: Path) -> None:
    """With a database of its own a server is taken for a real one: there, the sandbox must be asked for."""
    (tmp_path / "key").write_text("sk_live_x")
    key, missing = tmp_path / "key", tmp_path / "missing"
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "state_conflict"),
        ({"payments": "off"}, "state_conflict"),
        ({"payments": "sandbox"}, "sandbox"),
        ({"payments": "stripe"}, "state_conflict"),
        ({"stripe_secret_key_file": key}, "state_conflict"),
        ({"stripe_secret_key_file": key, "stripe_webhook_secret_file": key}, "stripe"),
        ({"stripe_secret_key_file": key, "stripe_webhook_secret_file": key, "payments": "off"}, "state_conflict"),
        ({"stripe_secret_key_file": key, "stripe_webhook_secret_file": key, "payments": "sandbox"}, "sandbox"),
        ({"stripe_secret_key_file": missing, "stripe_webhook_secret_file": key}, "unavailable"),
        ({"database_url": None}, "sandbox"),
        ({"database_url": None, "payments": "off"}, "state_conflict"),
        ({"database_url": None, "stripe_secret_key_file": key}, "state_conflict"),
    ]
    settings = Settings(database_url=database_url, data_dir=tmp_path, apps=("marketplace",))
    async with open_tenant(settings) as tenant:
        for given, expected in cases:
            tenant.settings = Settings(**{"database_url": database_url, "data_dir": tmp_path, **given})
            assert chosen(tenant) == expected, given


def test_a_payment_begun_in_the_sandbox_is_not_paid_with_money(
    server: Server, settings: Settings, agreed: Agreed, tmp_path: Path
) -> None:
    """Stripe was set up since: the old payment is canceled, and another is asked for there."""
    key = {"Idempotency-Key": str(uuid4())}
    old = ok(agreed.client.http.post(INTENT, json=agreed.ask(), headers=key))
    for name in ("key", "webhook"):
        (tmp_path / name).write_text("sk_test_homing")
    server.tenant.settings = Settings(
        database_url=settings.database_url,
        stripe_secret_key_file=tmp_path / "key",
        stripe_webhook_secret_file=tmp_path / "webhook",
        stripe_api_base="http://127.0.0.1:9",  # nobody listens: what counts here happens before
    )
    again = ok(agreed.client.http.post(INTENT, json=agreed.ask(), headers=key))
    assert (again["id"], again["status"], again["client_secret"]) == (old["id"], "canceled", None)
    assert refused(agreed.client.http.post(INTENT, json=agreed.ask())) == (503, "unavailable")
    shown = ok(agreed.client.http.get(f"{API}/payments"))["items"]
    assert [(each["gateway"], each["status"]) for each in shown] == [("stripe", "created"), ("sandbox", "canceled")]
    assert shown[1]["id"] == old["id"]
    confirm = agreed.client.http.post(CONFIRM, json={"client_secret": old["client_secret"]})
    assert refused(confirm) == (404, "not_found")
