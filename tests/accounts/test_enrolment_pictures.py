"""QR codes and sheets: who may see them, how long, and what stands on them."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from homing.settings import Settings
from tests.accounts.enrolling import ENROLLMENTS, GONE, code, complete, made, rows
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server, serving


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def test_pictures_are_for_whoever_made_the_token_and_not_for_long(
    server: Server, owner: Person, new_person: SignIn
) -> None:
    token, other = made(owner), made(owner)
    picture = owner.http.get(token["qr_svg_url"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert picture.content.startswith(b"<?xml")
    assert token["qr_svg"].removeprefix("<svg").partition("<path")[2] in picture.text
    small = owner.http.get(token["qr_png_url"])
    assert (small.status_code, small.headers["content-type"]) == (200, "image/png")
    assert small.content.startswith(b"\x89PNG")

    ticket = token["qr_svg_url"].partition("?")[2]
    assert token["secret"] not in token["qr_svg_url"] + token["qr_png_url"] + token["url"]
    assert httpx.get(token["qr_svg_url"]).status_code == 401
    colleague = new_person("ole", role="OWNER")
    assert code(colleague.http.get(token["qr_svg_url"])) == (403, "invalid_link")
    assert code(owner.http.get(f"{other['url']}/qr.svg?{ticket}")) == (403, "invalid_link")
    assert code(owner.http.get(token["qr_svg_url"][:-4] + "AAAA")) == (403, "invalid_link")
    assert code(owner.http.get(f"{token['url']}/qr.svg")) == (400, "invalid_parameter")
    clock = server.tenant.clock
    try:
        server.tenant.clock = lambda: datetime.now(UTC) + timedelta(seconds=310)
        assert code(owner.http.get(token["qr_svg_url"])) == (403, "invalid_link")
    finally:
        server.tenant.clock = clock
    complete(server, token["token"])
    assert owner.http.get(token["qr_png_url"]).json() == GONE


def test_another_node_draws_the_picture_too(
    settings: Settings, owner: Person, servers: Callable[[Settings], Server]
) -> None:
    token = made(owner)
    other = servers(settings)
    path = httpx.URL(token["qr_svg_url"]).raw_path.decode()
    assert owner.http.get(f"{other.url}{path}").status_code == 200


def test_a_sheet_has_a_card_for_everybody(server: Server, settings: Settings, owner: Person) -> None:
    people = [{"username": "gia"}, {"username": "hal", "role": "OWNER"}, {}]
    answer = owner.http.post(f"{ENROLLMENTS}/sheet", json={"people": people, "title": "Site <3>", "expires_in": 86_400})
    page = answer.text
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/html; charset=utf-8")
    assert "<title>Site &lt;3&gt;</title>" in page
    assert re.findall("<h2>(.*)</h2>", page) == ["gia", "hal", "Choose a username"]
    assert page.count("<svg") == 3
    assert "<script" not in page
    style = re.search("<style>(.*)</style>", page, re.S)
    assert style is not None
    digest = re.search("style-src 'sha256-([^']*)'", answer.headers["content-security-policy"])
    assert digest is not None
    assert digest[1].encode() == base64.b64encode(hashlib.sha256(style[1].encode()).digest())
    codes = [found.replace("<br>", "") for found in re.findall("<code>(.*)</code>", page)]
    for name, typed in zip(("gia", "hal", "ida"), codes, strict=True):
        assert complete(server, typed, username=name).status_code == 201
    assert code(owner.http.post(f"{ENROLLMENTS}/sheet", json={"people": []})) == (422, "invalid_envelope")
    assert code(owner.http.post(f"{ENROLLMENTS}/sheet", json={"people": [{}] * 201})) == (422, "invalid_envelope")


def test_a_sheet_is_made_whole_or_not_at_all(settings: Settings, owner: Person) -> None:
    before = rows(settings, "SELECT count(*) FROM homing.enrollment_tokens")
    for people in ([{"username": "jo"}, {"username": "JO"}], [{"username": "kim"}, {"username": "OLGA@example.org"}]):
        answer = owner.http.post(f"{ENROLLMENTS}/sheet", json={"people": people})
        assert code(answer) == (409, "already_exists")
    assert rows(settings, "SELECT count(*) FROM homing.enrollment_tokens") == before
