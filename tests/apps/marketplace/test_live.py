"""Entity updates: a change by whatever door reaches all connections of everybody whom it concerns, web and mobile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import httpx
import psycopg
import pytest

from homing.server.metrics import Metrics
from homing.server.node import open_node
from homing.server.working import Working
from homing.settings import Settings
from tests.apps.marketplace.people import Market
from tests.fixtures.server import serving
from tests.sync.live import Listener, listening, streaming
from tests.sync.scene import Caller, Json, create, ok, update, without


@pytest.fixture(scope="module")
def market(module_settings: Settings) -> Iterator[Market]:
    assert module_settings.database_url is not None
    with (
        serving(module_settings) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
        psycopg.connect(module_settings.database_url, autocommit=True) as conn,
    ):
        yield Market(server, http, conn)


class Ears:
    """Fay's phone, tablet and two browsers (one of them by SSE), all connected."""

    def __init__(self, market: Market, stack: ExitStack) -> None:
        self.phone = market.person()
        self.tablet = market.signed_in(self.phone)
        self.web = market.signed_in(self.phone, device=False)
        self.stream = market.signed_in(self.phone, device=False)
        callers = (self.phone, self.tablet, self.web)
        self.live: list[Listener] = [stack.enter_context(listening(caller)).current() for caller in callers]
        self.live.append(stack.enter_context(streaming(self.stream)).current())

    def hear(self, entity: str) -> Json:
        """What all of them hear of the next change, which must be the same but for their tokens."""
        heard = []
        for live in self.live:
            while (message := live.next("entity_update"))["entity"] != entity:
                pass
            assert message["timestamp"].endswith("Z")
            heard.append(without(message, "next_token", "has_more", "timestamp"))
        assert all(message == heard[0] for message in heard)
        return heard[0]


@pytest.fixture
def ears(market: Market) -> Iterator[Ears]:
    with ExitStack() as stack:
        yield Ears(market, stack)


def pulled(caller: Caller, entity: str, row_id: str) -> Any:
    (row,) = (c for c in caller.pull()[0] if (c["resource_type"], c["id"]) == (entity, row_id))
    return row["payload"]


def check(message: Json, entity: str, row_id: str, action: str, by: Caller, data: Any) -> None:
    """Spec 4's members (type, entity, data, timestamp, userId), and the protocol's."""
    assert message == {
        "type": "entity_update",
        "entity": entity,
        "id": row_id,
        "action": action,
        "data": data,
        "server_version": message["server_version"],
        "userId": by.user_id,
    }


def test_a_web_write_reaches_every_phone_and_window_of_its_user(market: Market, ears: Ears) -> None:
    row = ok(ears.web.request("POST", "/marketplace/profiles", json={"name": "Fay"}), 201)
    check(ears.hear("profile"), "profile", row["id"], "create", ears.phone, pulled(ears.phone, "profile", row["id"]))
    ok(ears.web.request("PATCH", f"/marketplace/profiles/{row['id']}", json={"bio": "Sites"}))
    message = ears.hear("profile")
    check(message, "profile", row["id"], "update", ears.phone, pulled(ears.phone, "profile", row["id"]))
    assert (message["data"]["bio"], message["server_version"]) == ("Sites", 2)


def test_a_phones_push_reaches_the_web(market: Market, ears: Ears) -> None:
    (made,) = ears.phone.push(create("profile", "p", name="Fay"))
    assert ears.hear("profile")["data"]["name"] == "Fay"
    ears.tablet.push(update("profile", made["server_id"], 1, bio="From the tablet"))
    message = ears.hear("profile")
    check(message, "profile", made["server_id"], "update", ears.phone, pulled(ears.web, "profile", made["server_id"]))
    assert message["data"]["bio"] == "From the tablet"


def test_offline_operations_reach_both_sides(market: Market, ears: Ears) -> None:
    cleo = market.person()
    job = market.job(cleo)
    with listening(cleo) as other:
        other.current()
        body = {"operations": [{"type": "CREATE_PROPOSAL", "data": {"jobId": job, "amountCents": "5000"}}]}
        (result,) = ok(ears.phone.post("/mobile/sync/offline-operations", body))["results"]
        check(
            ears.hear("proposal"), "proposal", result["server_id"], "create", ears.phone,
            pulled(ears.web, "proposal", result["server_id"]),
        )  # fmt: skip
        message = other.next("entity_update")
        assert (message["entity"], message["id"], message["userId"]) == (
            "proposal", result["server_id"], ears.phone.user_id,
        )  # fmt: skip


def test_what_is_taken_away_is_said_too(market: Market, ears: Ears) -> None:
    job = market.job(market.person())
    saved = ok(ears.web.post("/marketplace/saved-jobs", {"job_id": job}), 201)
    assert ears.hear("saved_job")["id"] == saved["id"]
    ok(ears.web.request("DELETE", f"/marketplace/saved-jobs/{saved['id']}"), 204)
    message = ears.hear("saved_job")
    assert (message["action"], message["data"], message["reason"]) == ("delete", None, "deleted")
    for live in ears.live:
        live.until(lambda live=live: ("job", job) not in live.rows)  # type: ignore[misc]


def test_a_write_by_sql_is_heard_without_a_user(market: Market, ears: Ears) -> None:
    row = ok(ears.web.request("POST", "/marketplace/profiles", json={"name": "Fay"}), 201)
    ears.hear("profile")
    market.execute("UPDATE marketplace.profiles SET profile_views = 7 WHERE id = %s", row["id"])
    message = ears.hear("profile")
    assert (message["data"]["profile_views"], message["userId"]) == (7, None)


def test_others_hear_nothing_of_it(market: Market, ears: Ears) -> None:
    stranger = market.person()
    with listening(stranger) as other:
        other.current()
        ok(ears.web.request("POST", "/marketplace/profiles", json={"name": "Fay"}), 201)
        ears.hear("profile")
        (mine,) = stranger.push(create("profile", "p", name="Stranger"))
        message = other.next("entity_update")
        assert (message["entity"], message["id"]) == ("profile", mine["server_id"])


def work(settings: Settings) -> None:
    """Do the jobs that are due, as a node of its own."""

    async def drain() -> None:
        async with open_node(settings) as node:
            await Working(node, Metrics()).worker(node.default).drain()

    asyncio.run(drain())


def title(live: Listener, job: str) -> str | None:
    """The job's, None while it is not there yet."""
    return live.rows[("job", job)][1]["title"] if ("job", job) in live.rows else None


def notified(live: Listener) -> list[Json]:
    return [message for message in live.heard if message["type"] == "notification"]


def test_a_notification_reaches_every_connection_of_its_user_at_every_node(
    market: Market, ears: Ears, module_settings: Settings
) -> None:
    cleo = market.person()
    desk = market.signed_in(cleo, device=False)
    job = market.job(cleo)
    with (
        serving(module_settings) as other,
        listening(cleo, url=other.url) as phone,
        listening(desk) as web,
        streaming(market.signed_in(cleo, device=False)) as stream,
    ):
        for live in (phone, web, stream):
            live.current()
        made = ok(ears.phone.post("/marketplace/proposals", {"job_id": job, "amount_cents": 5000}), 201)
        work(module_settings)
        (listed,) = ok(desk.request("GET", "/notifications"))["items"]
        at = datetime.fromisoformat(listed["sent_at"])
        expected = {"type": "notification", **without(listed, "platform", "sent_at", "read_at", "clicked_at")}
        assert (expected["notification_type"], expected["data"]) == (
            "proposal_received",
            {"proposal_id": made["id"], "job_id": job},
        )
        for live in (phone, web, stream):
            message = live.next("notification")
            assert without(message, "sent_at") == expected
            assert datetime.fromisoformat(message["sent_at"]) == at
        # What Fay is told of changes what she holds: she is pulling when it comes, or just was.
        ok(desk.post(f"/marketplace/proposals/{made['id']}/status", {"status": "accepted"}))
        work(module_settings)
        for live in ears.live:
            assert live.next("notification")["notification_type"] == "proposal_accepted"
        market.execute("UPDATE marketplace.jobs SET title = 'The last' WHERE id = %s", job)
        for live in (phone, web, stream, *ears.live):
            live.until(lambda live=live: title(live, job) == "The last")  # type: ignore[misc]
            assert len(notified(live)) == 1


def test_nobody_who_was_signed_out_is_told(market: Market) -> None:
    cleo = market.person()
    desk = market.signed_in(cleo, device=False)
    with listening(desk) as web, listening(cleo) as phone:
        web.current()
        phone.current()
        market.execute(
            "WITH ended AS (UPDATE homing.sessions SET revoked_at = now() WHERE id = %s)"
            " INSERT INTO homing.push_notifications (user_id, platform, notification_type, title, body)"
            " VALUES (%s, 'web', 'test', 'A title', 'A body')",
            desk.session_id,
            cleo.user_id,
        )
        assert phone.next("notification")["title"] == "A title"
        assert web.bye()["action"] == "login"
        assert notified(web) == []
