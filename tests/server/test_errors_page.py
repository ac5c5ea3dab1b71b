"""The page about errors, and that every problem's address leads there."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from homing.protocol.errors import CATALOGUE, NEXT, Problem
from homing.settings import Settings
from tests.fixtures.server import Server


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


class Sections(HTMLParser):
    """Text by the id of the section it is in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self.inside = str(dict(attrs)["id"])
            assert self.inside not in self.found
            self.found[self.inside] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside is not None:
            self.found[self.inside] += data


def sections(page: str) -> dict[str, str]:
    parser = Sections()
    parser.feed(page)
    return parser.found


def test_every_code_s_address_leads_to_what_it_means_and_what_to_do(http: httpx.Client) -> None:
    for code in CATALOGUE.values():
        address = urljoin("http://homing/api/v1/anything", Problem(code.code).document()["type"])
        where = urlsplit(address)
        answer = http.get(where.path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        said = " ".join(sections(answer.text)[where.fragment].split())
        for part in (code.title, code.code, code.action, str(code.status or "items only"), code.meaning):
            assert part.replace("`", "") in said, (code.code, part)
        assert NEXT[code.action].replace("`", "") in said


def test_a_refused_request_names_an_address_that_is_there(http: httpx.Client) -> None:
    refused = http.post("/api/v1/auth/login", content=b"{", headers={"content-type": "application/json"})
    address = urljoin(str(refused.url), refused.json()["type"])
    assert address.endswith("/docs/errors#invalid_json")
    assert "invalid_json" in sections(http.get(address).text)


def test_the_page_runs_nothing_and_its_style_is_let_through(http: httpx.Client) -> None:
    answer = http.get("/docs/errors", headers={"accept": "text/html"})
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
