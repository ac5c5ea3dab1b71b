"""Two devices, one row: every policy in both orders, what each is told, what is kept of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.scene import Caller, Json, Scene, ok, update, without


def at(item: Json, moment: str) -> Json:
    return {**item, "edited_at": moment}


def outcome(result: Json) -> tuple[Any, ...]:
    return result["status"], result.get("code"), result.get("server_version"), result.get("merged", False)


POLICIES = [
    # field, base, one, two, after one then two, after two then one, policy
    ("stock", 10, 13, 8, 11, 11, "counter"),
    ("tags", ["a", "b"], ["a", "b", "c"], ["a", "d"], ["a", "c", "d"], ["a", "d", "c"], "union"),
    ("stage", "new", "sold", "shown", "sold", "sold", "furthest"),
    ("price", "1.00", "2.00", "3.00", "2.00", "3.00", "server_wins"),
    ("colour", "red", "blue", "green", "green", "blue", "client_wins"),
    ("label", "x", "one", "two", "one + two", "one + two", "function"),
]


@pytest.mark.parametrize(
    ("field", "base", "one", "two", "forwards", "backwards", "policy"), POLICIES, ids=[p[-1] for p in POLICIES]
)
def test_each_policy_in_both_orders(
    scene: Scene, field: str, base: Any, one: Any, two: Any, forwards: Any, backwards: Any, policy: str
) -> None:
    office, first = scene.office(), scene.person()
    second = scene.signed_in(first)
    for sent, expected in (((one, two), forwards), ((two, one), backwards)):
        good = scene.good(first.team, **{field: base})
        (result,) = first.push(update("good", good, 1, **{field: sent[0]}))
        assert outcome(result) == ("ok", None, 2, False)
        (result,) = second.push(update("good", good, 1, **{field: sent[1]}))
        changed = expected != sent[0]
        assert outcome(result) == ("ok", None, 3 if changed else 2, True)
        changes, _ = first.pull(tables=["good"])
        (row,) = [change for change in changes if change["id"] == good]
        assert (row["payload"][field], row["server_version"]) == (expected, 3 if changed else 2)
        (kept,) = [
            conflict
            for conflict in ok(office.get("/mobile/conflicts", device_id=second.device_id))["items"]
            if conflict["resource_id"] == good
        ]
        assert (kept["resolution"], kept["resolution_action"], kept["resolved_by"], kept["policy"], kept["fields"]) == (
            "resolved",
            "merged",
            None,
            {field: policy},
            [field],
        )
        shown = ok(office.get(f"/mobile/conflicts/{kept['id']}"))
        assert (
            shown["base_payload"][field],
            shown["server_payload"][field],
            shown["client_payload"][field],
            shown["resolved_payload"][field],
        ) == (base, sent[0], sent[1], expected)
        history = ok(office.get("/mobile/history", table="good", row=good))["items"]
        assert [(entry["version"], entry["device_id"], entry["by"], entry["fields"]) for entry in history] == [
            *([(3, second.device_id, first.username, {field: [sent[0], expected]})] if changed else []),
            (2, first.device_id, first.username, {field: [base, sent[0]]}),
            (1, None, None, None),
        ]


@pytest.mark.parametrize(
    ("first_at", "second_at", "winner"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01T11:00:00Z", "second"),
        ("2024-05-01T11:00:00Z", "2024-05-01T10:00:00Z", "first"),
        ("2024-05-01T12:00:00+02:00", "2024-05-01T10:30:00Z", "second"),
        ("1970-01-01T00:00:00Z", "2024-05-01T10:00:00Z", "second"),
        # B30: nobody edited anything after now, so a clock in the year 2100 wins once, not for ever.
        ("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z", "second"),
        ("2024-05-01T10:00:00Z", "1970-01-01T00:00:00Z", "first"),
    ],
)
def test_the_last_write_wins_whenever_it_arrives(scene: Scene, first_at: str, second_at: str, winner: str) -> None:
    first = scene.person()
    second = scene.signed_in(first)
    good = scene.good(first.team, note="base")
    first.push(at(update("good", good, 1, note="first"), first_at))
    (result,) = second.push(at(update("good", good, 1, note="second"), second_at))
    assert outcome(result) == ("ok", None, 3 if winner == "second" else 2, True)
    assert scene.value("SELECT note FROM shop.goods WHERE id = %s", good) == winner


def test_a_clock_that_is_off_is_put_right(scene: Scene) -> None:
    """A device whose clock is two hours ahead edited earlier than its edits say."""
    first = scene.person()
    second = scene.signed_in(first)
    good = scene.good(first.team, note="base")
    now = scene.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    hour_ago, ahead, hour_ahead = (
        scene.value(
            "SELECT to_char(%s::timestamptz AT TIME ZONE 'UTC' + %s::interval, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
            now,
            by,
        )
        for by in ("-1 hour", "2 hours", "30 minutes")
    )
    first.push(at(update("good", good, 1, note="an hour ago"), hour_ago))
    # Half an hour from now by a clock that is two hours ahead: an hour and a half ago.
    (result,) = second.push(at(update("good", good, 1, note="before that"), hour_ahead), client_time=ahead)
    assert outcome(result) == ("ok", None, 2, True)
    assert scene.value("SELECT note FROM shop.goods WHERE id = %s", good) == "an hour ago"


def test_other_fields_merge_and_one_manual_field_stops_the_whole_edit(scene: Scene) -> None:
    office, first = scene.office(), scene.person()
    second = scene.signed_in(first)
    good = scene.good(first.team, title="base", stock=1)
    first.push(update("good", good, 1, title="first", stock=2))
    disjoint, stopped = second.push(
        update("good", good, 1, colour="red"), update("good", good, 1, title="second", stock=5, label="x")
    )
    assert outcome(disjoint) == ("ok", None, 3, True)
    assert outcome(stopped) == ("conflict", "version_conflict", 3, False)
    assert scene.rows("SELECT title, stock, colour, label FROM shop.goods WHERE id = %s", good) == [
        ("first", 2, "red", None)
    ]
    (kept,) = ok(office.get("/mobile/conflicts", device_id=second.device_id))["items"]
    assert (kept["id"], kept["fields"], kept["resolution"]) == (stopped["conflict_id"], ["title"], "pending")


def test_equal_edits_are_no_conflict(scene: Scene) -> None:
    office, first = scene.office(), scene.person()
    second = scene.signed_in(first)
    good = scene.good(first.team, title="base", price="1.00")
    first.push(update("good", good, 1, title="same", price="2"))
    (result,) = second.push(update("good", good, 1, title="same", price="2.00"))
    assert outcome(result) == ("ok", None, 2, True)
    assert ok(office.get("/mobile/conflicts", device_id=second.device_id))["items"] == []


def test_two_devices_that_count_the_same_counted_twice(scene: Scene) -> None:
    """Their values are equal, and mean two different things."""
    first = scene.person()
    second = scene.signed_in(first)
    good = scene.good(first.team, stock=10)
    assert outcome(first.push(update("good", good, 1, stock=11))[0]) == ("ok", None, 2, False)
    assert outcome(second.push(update("good", good, 1, stock=11))[0]) == ("ok", None, 3, True)
    assert scene.value("SELECT stock FROM shop.goods WHERE id = %s", good) == 12


def test_a_device_takes_back_what_its_own_chain_added(scene: Scene) -> None:
    first = scene.person()
    second = scene.signed_in(first)
    good = scene.good(first.team, tags=["a"])
    first.push(update("good", good, 1, tags=["a", "theirs"]))
    second.push(update("good", good, 1, tags=["a", "ours"]), update("good", good, 2, tags=["a"]))
    assert scene.value("SELECT tags FROM shop.goods WHERE id = %s", good) == ["a", "theirs"]


def test_many_counters_add_up(scene: Scene) -> None:
    """Ten devices count offline from the same base, each in several edits."""
    devices: list[Caller] = [scene.person()]
    devices += [scene.signed_in(devices[0]) for _ in range(9)]
    good = scene.good(devices[0].team, stock=100)
    for n, device in enumerate(devices):
        results = device.push(update("good", good, 1, stock=100 + n), update("good", good, 2, stock=100 + n - 20))
        assert [result["status"] for result in results] == ["ok", "ok"]
    assert scene.value("SELECT stock FROM shop.goods WHERE id = %s", good) == 100 + sum(range(10)) - 10 * 20


def test_the_history_says_who_when_and_which_device(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    (made,) = device.push({**_create(device), "client_temp_id": "g"})
    good = made["server_id"]
    office.push(update("good", good, 1, title="office", stock=1))
    scene.execute("UPDATE shop.goods SET title = 'psql', secret = 'not for anybody' WHERE id = %s", good)
    device.push({"resource_type": "good", "action": "delete", "payload": {"id": good}})
    history = ok(office.get("/mobile/history", table="good", row=good))
    assert history["next"] is None
    assert [without(entry, "at", "batch_id") for entry in history["items"][1:]] == [
        {
            "version": 3,
            "action": "update",
            "actor": "outside",
            "by": None,
            "device_id": None,
            "fields": {"title": ["office", "psql"]},
        },
        {
            "version": 2,
            "action": "update",
            "actor": office.user_id,
            "by": office.username,
            "device_id": None,
            "fields": {"title": ["made", "office"], "stock": [0, 1]},
        },
        {
            "version": 1,
            "action": "create",
            "actor": device.user_id,
            "by": device.username,
            "device_id": device.device_id,
            "fields": None,
        },
    ]
    last = history["items"][0]
    assert (last["action"], last["device_id"], last["fields"]["title"]) == ("delete", device.device_id, ["psql"])
    assert "secret" not in last["fields"]
    pages: list[Json] = []
    after = None
    while True:
        page = ok(office.get("/mobile/history", table="good", row=good, limit=1, **({"after": after} if after else {})))
        pages += page["items"]
        after = page["next"]
        if after is None:
            break
    assert pages == history["items"]


def _create(device: Caller) -> Json:
    return {
        "resource_type": "good",
        "action": "create",
        "payload": {"team_id": device.team, "title": "made"},
        "client_version": 1,
    }
