"""What is open follows what happens: by one stream a page, and without it by asking from time to time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from playwright.sync_api import Page, expect

from homing.server.live_watch import WATCHERS_A_USER_MAX
from homing.settings import Settings
from tests.console.desk import entered, office
from tests.console.test_overview import signed_in
from tests.fixtures.accounts import create_user
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server

BATCH = {"items": [{"resource_type": "submission", "action": "create", "payload": {"form_id": "nothing"}}]}


@pytest.fixture(scope="module")
def people(settings: Settings) -> None:
    for name, role in (("wim", "WORKER"), ("ole", "OWNER"), ("una", "OWNER")):
        create_user(settings.database_url or "", name, role, name=name.title())


def push(server: Server, device: str) -> None:
    with signed_in(server, "wim", device) as phone:
        assert phone.post("/mobile/sync/push", json=BATCH).status_code == 200


@contextmanager
def listening(web: httpx.Client, parts: str, **more: str) -> Iterator[Iterator[dict[str, str]]]:
    """The events of a stream, one after the other."""
    with web.stream("GET", "/live", params={"parts": parts, **more}, headers={"accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()

        def events() -> Iterator[dict[str, str]]:
            found: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    found[name] = value
                elif "event" in found:
                    yield found
                    found = {}
                elif not line:
                    found = {}

        yield events()


@pytest.mark.usefixtures("people")
def test_a_push_shows_on_the_open_overview(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    expect(page.locator("html[data-watching]")).to_have_count(1)  # from here on nothing is asked for by the clock
    page.evaluate("() => { window.same = true }")
    batches = page.locator(".stat", has_text="Batches, last day").locator(".stat-value")
    before = int(batches.inner_text())
    push(server, "phone-1")
    expect(batches).to_have_text(str(before + 1))
    expect(page.get_by_role("table", name="Batches")).to_contain_text("phone-1")
    push(server, "phone-1")
    expect(batches).to_have_text(str(before + 2))
    assert page.evaluate("() => window.same") is True
    check_page(page)


@pytest.mark.usefixtures("people")
def test_without_a_stream_the_page_asks(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.route("**/console/live*", lambda route: route.abort())
    page.clock.install()
    page.goto(f"{server.url}/console/overview")
    batches = page.locator(".stat", has_text="Batches, last day").locator(".stat-value")
    before = int(batches.inner_text())
    push(server, "phone-2")
    page.clock.run_for(10_000)
    expect(batches).to_have_text(str(before + 1))
    # And it has a stream again as soon as there is one.
    page.unroute("**/console/live*")
    page.clock.run_for(10_000)
    expect(page.locator("html[data-watching]")).to_have_count(1)


@pytest.mark.usefixtures("people")
def test_whoever_is_deactivated_is_out_of_the_open_page(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server, "ole")
    expect(page.locator("html[data-watching]")).to_have_count(1)
    with office(server) as api:
        (ole,) = api.get("/users", params={"q": "ole"}).json()["items"]
        assert api.patch(f"/users/{ole['id']}", json={"is_active": False}).status_code == 200
    page.wait_for_url("**/console/sign-in*")


@pytest.mark.usefixtures("people")
def test_a_stream_tells_what_was_written_and_where_it_is(server: Server) -> None:
    with entered(server) as web:
        mark = web.get("/overview").text.split('name="live" content="', 1)[1].split('"', 1)[0]
        push(server, "phone-3")
        with listening(web, "any marketplace.job", mark=mark) as events:
            told = next(events)  # what happened between the page and the stream
            assert (told["event"], "any" in told["data"]) == ("changed", True)
            push(server, "phone-3")
            told = next(events)
            assert told["event"] == "changed"
    with entered(server) as web, listening(web, "nothing.of.this") as events:
        # Only what the page shows: the bye is the first event of one that shows nothing that changes.
        push(server, "phone-3")
        with office(server) as api:
            (olga,) = api.get("/users", params={"q": "olga"}).json()["items"]
            api.patch(f"/users/{olga['id']}", json={"password": "correct horse battery"})
        assert [each for each in events if each["data"] != "nothing.of.this"] == [
            {"event": "bye", "data": "unauthenticated"}
        ]


@pytest.mark.usefixtures("people")
def test_nobody_has_too_many_streams_and_strangers_none(server: Server) -> None:
    with ExitStack() as stack:
        web = stack.enter_context(entered(server, "una"))
        # A stream whose events nobody holds any more is closed.
        held = [stack.enter_context(listening(web, "any")) for _ in range(WATCHERS_A_USER_MAX)]
        assert [next(each)["event"] for each in held] == ["changed"] * len(held)  # without a mark everything is new
        with listening(web, "any") as more:
            assert list(more) == [{"event": "bye", "data": "too_many_connections"}]
        with entered(server, "wim") as wim, listening(wim, "any") as others:
            assert next(others)["event"] == "changed"
    stranger = httpx.get(f"{server.url}/console/live?parts=any", headers={"accept": "text/event-stream"})
    assert (stranger.status_code, stranger.content) == (204, b"")


@pytest.mark.usefixtures("people")
def test_what_another_node_wrote_is_told(
    server: Server, settings: Settings, servers: Callable[[Settings], Server]
) -> None:
    other = servers(settings)
    with office(server) as api:
        meter = api.post("/meters", json={"code": "n1", "reading": 1, "team_id": team(api)}).json()["id"]
    with entered(server) as web, listening(web, "fieldwork.meter") as events:
        assert next(events)["event"] == "changed"
        with office(other) as api:
            assert api.patch(f"/meters/{meter}", json={"reading": 2}).status_code == 200
        assert next(events)["data"] == "fieldwork.meter"


def team(api: httpx.Client) -> str:
    return str(api.post("/teams", json={"name": "North"}).json()["id"])
