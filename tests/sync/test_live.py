"""Live delivery: a client that listens ends equal to its scope, whatever happens to the line or to its rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from homing.settings import Settings
from tests.fixtures.server import Server, serving
from tests.sync.live import Listener, listening, streaming
from tests.sync.scene import Caller, Scene, create, delete, update, without

Listen = Callable[..., AbstractContextManager[Listener]]


@pytest.fixture(scope="module")
def other(scene: Scene, shop_settings: Settings) -> Iterator[Server]:
    """A second node on the same database."""
    with serving(shop_settings) as server:
        yield server


both = pytest.mark.parametrize("listen", [listening, streaming])


def pulled(caller: Caller, token: str | None = None) -> tuple[dict[tuple[str, str], Any], str]:
    """What a replica holds after pulling from nothing."""
    changes, following = caller.pull(token)
    return {
        (change["resource_type"], change["id"]): (change["server_version"], change["payload"])
        for change in changes
        if change["action"] != "delete"
    }, following


def test_a_change_arrives_with_everything_the_contract_names(scene: Scene) -> None:
    author, reader = (person := scene.person()), scene.signed_in(person)
    _, token = pulled(reader)
    with listening(reader, token) as live:
        assert without(live.next("current"), "timestamp") == {"type": "current", "next_token": token}
        (result,) = author.push(create("good", title="a kettle", team_id=author.team))
        message = live.next("entity_update")
    (row,) = (change for change in reader.pull(token)[0] if change["id"] == result["server_id"])
    assert without(message, "timestamp", "next_token") == {
        "type": "entity_update",
        "entity": row["resource_type"],
        "id": result["server_id"],
        "action": "create",
        "data": row["payload"],
        "server_version": 1,
        "userId": author.user_id,
        "has_more": False,
    }
    assert message["timestamp"].endswith("Z")
    assert reader.pull(message["next_token"])[0] == []


@both
def test_from_nothing_it_brings_everything_and_then_the_news(scene: Scene, listen: Listen) -> None:
    reader = scene.person()
    ids = {scene.good(reader.team) for _ in range(1203)}  # three pages
    with listen(reader) as live:
        live.current()
        assert live.rows == pulled(reader)[0]
        assert live.ids("good") == ids
        added = scene.good(reader.team)
        live.until(lambda: ("good", added) in live.rows)
        scene.execute("DELETE FROM shop.goods WHERE team_id = %s", reader.team)
        live.until(lambda: not live.ids("good"))
        assert live.rows == pulled(reader)[0]
        assert pulled(reader, live.token)[0] == {}


@both
def test_it_goes_on_after_a_cut_where_it_was(scene: Scene, listen: Listen) -> None:
    reader = scene.person()
    with listen(reader) as live:
        live.current()
    first, second = scene.good(reader.team), scene.good(reader.team)
    scene.execute("DELETE FROM shop.goods WHERE id = %s", first)
    with listen(reader, live.token) as again:
        again.current()
    assert again.ids("good") == {second}
    assert [message["type"] for message in again.heard if message["type"] != "heartbeat"][-1] == "current"
    with listen(reader, again.token) as once_more:  # nothing was new: at once, and with the same token
        once_more.current()
    assert (once_more.rows, once_more.token) == ({}, again.token)


def test_a_stream_goes_on_from_the_last_event_id(scene: Scene) -> None:
    reader = scene.person()
    with streaming(reader) as live:
        live.current()
    good = scene.good(reader.team)
    with streaming(reader, headers={"last-event-id": str(live.token)}) as again:
        again.current()
    assert again.ids("good") == {good}


@both
def test_scopes_that_are_entered_and_left_while_listening(scene: Scene, listen: Listen) -> None:
    reader, other = scene.person(), scene.person()
    mine, theirs = scene.good(reader.team), scene.good(other.team)
    with listen(reader) as live:
        live.current()
        assert live.ids("good") == {mine}
        scene.join(reader, other.team)  # by psql: nobody gives a hint
        live.until(lambda: live.ids("good") == {mine, theirs})
        moved = scene.good(other.team)
        live.until(lambda: moved in live.ids("good"))
        scene.leave(reader, other.team)
        live.until(lambda: live.ids("good") == {mine})
        gone = [message for message in live.heard if message.get("action") == "delete"]
        assert {(message["id"], message["reason"]) for message in gone} == {
            (theirs, "out_of_scope"),
            (moved, "out_of_scope"),
        }
        scene.good(other.team)
        last = scene.good(reader.team)
        live.until(lambda: last in live.ids("good"))
        assert live.ids("good") == {mine, last}


def test_a_row_that_moves_between_teams_leaves_one_and_enters_the_other(scene: Scene) -> None:
    one, two = scene.person(), scene.person()
    good = scene.good(one.team)
    with listening(one) as here, listening(two) as there:
        here.current()
        there.current()
        scene.execute("UPDATE shop.goods SET team_id = %s WHERE id = %s", two.team, good)
        there.until(lambda: there.ids("good") == {good})
        here.until(lambda: here.ids("good") == set())
        scene.execute("DELETE FROM shop.goods WHERE id = %s", good)
        there.until(lambda: there.ids("good") == set())
    reasons = [message["reason"] for live in (here, there) for message in live.heard if message.get("reason")]
    assert reasons == ["out_of_scope", "deleted"]


def test_only_the_tables_that_were_asked_for(scene: Scene) -> None:
    reader = scene.person()
    with listening(reader, tables=["shelf"]) as live:
        live.current()
        scene.good(reader.team)
        shelf = scene.shelf(reader.team)
        live.until(lambda: bool(live.rows))
    assert set(live.rows) == {("shelf", shelf)}


def test_a_write_at_one_node_arrives_at_the_other(scene: Scene, other: Server) -> None:
    author, reader = (person := scene.person()), scene.signed_in(person)
    with listening(reader, url=other.url) as there, listening(reader) as here:
        there.current()
        here.current()
        (result,) = author.push(create("good", title="a kettle", team_id=author.team))
        for live in (there, here):
            live.until(lambda live=live: live.ids("good") == {result["server_id"]})
        author.push(update("good", result["server_id"], 1, title="a pot"))
        for live in (there, here):
            live.until(lambda live=live: next(iter(live.rows.values()))[1]["title"] == "a pot")
        author.push(delete("good", result["server_id"], 2))
        for live in (there, here):
            live.until(lambda live=live: not live.rows)


@pytest.mark.parametrize("waits", [True, False])
def test_each_push_takes_its_hint_along(scene: Scene, other: Server, waits: bool) -> None:
    """One by one, and faster than hints are given."""
    author, reader = (person := scene.person()), scene.signed_in(person)
    other.tenant.live.poll_seconds = 30  # so that only a hint can bring it in time
    with listening(reader, url=other.url) as there:
        there.current()
        made = set()
        for n in range(30):
            (result,) = author.push(create("shelf", f"s{n}", team_id=author.team, name=f"{n}"))
            made.add(result["server_id"])
            if waits:
                there.until(lambda: there.ids("shelf") == made)
        there.until(lambda: there.ids("shelf") == made)


def test_a_killed_listener_listens_again(scene: Scene, other: Server) -> None:
    reader = scene.person()
    other.tenant.live.poll_seconds = 30  # so that only a hint can bring it in time
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'homing live'"
    with listening(reader, url=other.url) as live:
        live.current()
        while not (before := {pid for (pid,) in scene.rows(query)}):  # it is about to
            pass
        scene.execute(f"SELECT pg_terminate_backend(pid) FROM ({query}) AS listening")
        good = scene.good(reader.team)  # unheard of; found when it listens again
        live.until(lambda: good in live.ids("good"))
        assert before.isdisjoint({pid for (pid,) in scene.rows(query)})
        (result,) = scene.signed_in(reader).push(create("good", title="a kettle", team_id=reader.team))
        live.until(lambda: result["server_id"] in live.ids("good"))


def test_a_resolved_conflict_is_told_to_its_author_at_every_node(scene: Scene, other: Server) -> None:
    author, stranger, office = scene.person(), scene.person(), scene.office()
    good = scene.good(author.team, title="one")
    author.push(update("good", good, 1, title="two"))
    (result,) = scene.signed_in(author).push(update("good", good, 1, title="three"))
    assert result["status"] == "conflict"
    with listening(author, url=other.url) as there, listening(stranger) as elsewhere:
        there.current()
        elsewhere.current()
        decided = office.post(
            f"/mobile/conflicts/{result['conflict_id']}/resolve", {"resolution": "accept_client", "notes": "newer"}
        )
        assert decided.status_code == 200, decided.text
        there.until(lambda: any(message["type"] == "conflict_resolved" for message in there.heard))
        there.until(lambda: there.rows[("good", good)][1]["title"] == "three")
        last = scene.good(stranger.team)
        elsewhere.until(lambda: last in elsewhere.ids("good"))
    (told,) = (message for message in there.heard if message["type"] == "conflict_resolved")
    assert without(told, "resolved_at") == {
        "type": "conflict_resolved",
        "id": result["conflict_id"],
        "resource_type": "good",
        "row_id": good,
        "resolution": "accept_client",
        "resolved_by": office.user_id,
        "notes": "newer",
    }
    assert [message for message in elsewhere.heard if message["type"] == "conflict_resolved"] == []


def test_a_new_epoch_ends_in_a_resync(scene: Scene) -> None:
    reader = scene.person()
    with listening(reader) as live:
        live.current()
        scene.execute("UPDATE homing.epoch SET epoch = gen_random_uuid(), reason = 'a test'")
        assert without(live.bye(), "detail") == {"type": "bye", "action": "resync", "code": "resync_required"}
    with listening(reader, live.token) as again:
        assert again.bye()["code"] == "resync_required"


def test_more_changes_at_once_than_a_round_reads(scene: Scene) -> None:
    reader = scene.person()
    with listening(reader) as live:
        live.current()
        scene.execute(
            "INSERT INTO shop.goods (team_id, title) SELECT %s, 'one of many' FROM generate_series(1, 2500)",
            reader.team,
        )
        live.until(lambda: len(live.ids("good")) == 2500)
        assert live.rows == pulled(reader)[0]
