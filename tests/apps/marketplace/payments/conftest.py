"""A marketplace whose payments go through Stripe, whose API a local server speaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homing.settings import Settings
from tests.apps.marketplace.paying import (
    Agreed,
    agree,
)
from tests.apps.marketplace.payments.stripe_server import SECRET_KEY, WEBHOOK_SECRET, StripeServer, stripe_server
from tests.fixtures.accounts import SignIn
from tests.fixtures.cluster import Cluster
from tests.fixtures.server import Server


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
