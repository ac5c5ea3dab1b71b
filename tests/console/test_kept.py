"""No form of the console loses what was typed when it is refused: it is shown again, with the reason at its field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import msgspec
import pytest

from homing.settings import Settings
from tests.console.desk import entered, office
from tests.console.field import XSS, Field, in_the_field
from tests.fixtures.accounts import create_user
from tests.fixtures.server import serving

LONG = "x" * 70_000


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    create_user(module_settings.database_url or "", "olga@example.org", "OWNER", name="Olga Office")
    return msgspec.structs.replace(module_settings, apps=("fieldwork", "crm", "messaging"))


@pytest.fixture(scope="module")
def field(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder: Path = tmp_path_factory.mktemp("replicas")
    with serving(settings) as server, in_the_field(server, settings, folder) as found:
        yield found


def refused(web: httpx.Client, page: str, action: str, field: str | None, **sent: str) -> str:
    """The page that answers a form, whose ``field`` is marked wrong and says why."""
    csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', web.get(page).text)
    assert csrf is not None
    answer = web.post(action, data={"csrf": csrf[1], **sent})
    assert answer.status_code in (409, 413, 422), answer.text
    assert 'role="alert"' in answer.text
    wrong = re.findall(r'<(?:input|select|textarea) id="f-([a-z_-]+)"[^>]*aria-invalid="true"', answer.text)
    assert wrong == ([] if field is None else [field])
    return unescape(answer.text)


@pytest.fixture
def web(field: Field) -> Iterator[httpx.Client]:
    with entered(field.server) as found:
        yield found


def test_what_was_typed_stays(field: Field, web: httpx.Client) -> None:
    field.worker("wim", name="Wim")
    device = field.device("wim")
    with office(field.server) as api:
        made = api.post("/crm/customers", json={"name": "Ada", "address": "1 Lane", "phone": "1"}).json()
        job = api.post("/crm/jobs", json={"title": "Tiles", "customer_id": made["id"]}).json()["id"]
    crm = f"/crm/jobs/{job}"
    text = refused(web, crm, f"{crm}/materials", "quantity", item_name=XSS, quantity="many", unit="kg")
    assert f'value="{XSS}"' in text
    assert 'value="many"' in text
    assert 'value="kg"' in text
    text = refused(web, crm, f"{crm}/notes", None, notes=XSS, version="77")
    assert f"\n{XSS}</textarea>" in text
    refused(web, crm, f"{crm}/assignments", None, user="nobody")

    talk = f"/messages/{field.users['wim']}"
    text = refused(web, talk, talk, "content", content=LONG)
    assert LONG in text

    text = refused(web, "/users/new", "/users/new", "login", login="wim", name=XSS, role="WORKER", password="secret 1")
    assert XSS in text
    assert "secret 1" not in text
    text = refused(web, "/users/new", "/users/new", "role", login="new", name=XSS, role="KING")
    assert XSS in text
    user = f"/users/{field.users['wim']}"
    text = refused(web, user, user, "name", name="y" * 500, role="WORKER")
    assert "y" * 500 in text

    text = refused(web, "/enrolments/new", "/enrolments/new", "username", username="wim", role="WORKER", minutes="60")
    assert 'value="wim"' in text
    assert '<option value="60" selected>' in text
    text = refused(
        web, "/enrolments/new", "/enrolments/sheet", "usernames", usernames="a\nwim", sheet_role="WORKER", title=XSS
    )
    assert "a\nwim</textarea>" in text
    assert XSS in text

    text = refused(web, "/forms/new", "/forms/new", "schema", code="c1", name=XSS, schema="{")
    assert XSS in text

    of_device = f"/devices/{device['id']}"
    text = refused(web, of_device, f"{of_device}/status", "suspend-reason", status="suspended", reason="z" * 2000)
    assert "z" * 2000 in text
    assert '<dialog id="suspend" aria-labelledby="suspend-title" data-shown>' in text
    text = refused(web, of_device, f"{of_device}/trust", "trust-reason", reason="z" * 2000)
    assert '<dialog id="trust" aria-labelledby="trust-title" data-shown>' in text
