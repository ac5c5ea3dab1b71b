"""Merging, without a database: every policy, in both orders of arrival, against laws and a model of its own."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.declare import (
    by_field,
    client_wins,
    counter,
    furthest,
    last_write_wins,
    manual,
    merged_by,
    server_wins,
    union,
)
from homing.declare.policies import FieldPolicies, Policy
from homing.engine.merge import Apply, Overlap, Theirs, merge
from homing.engine.tables import Column
from homing.postgres.codec import wire_type

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STATES = ("new", "begun", "done")
STAGE = furthest(*STATES)


def column(name: str, type_name: str, element: str | None = None) -> Column:
    wire = wire_type(type_name, typmod=-1, sql_type=type_name, element=element)
    assert wire is not None
    return Column(name, wire, True, None, False)


COLUMNS = {
    "title": column("title", "text"),
    "status": column("status", "text"),
    "tags": column("tags", "_text", element="text"),
    "count": column("count", "int4"),
    "big": column("big", "int8"),
    "price": column("price", "numeric"),
    "ratio": column("ratio", "float8"),
    "data": column("data", "jsonb"),
}


def minutes(count: int) -> datetime:
    return NOON + timedelta(minutes=count)


def decide(
    policies: FieldPolicies | Policy,
    base: Mapping[str, Any] | None,
    server: Mapping[str, Any],
    client: Mapping[str, Any],
    *,
    theirs: Mapping[str, int] | None = None,
    at: int = 0,
) -> Apply | Overlap:
    """``theirs``: field → minute of their edit; without it, the fields in which server and base differ, at minute 0."""
    if theirs is None:
        theirs = {name: 0 for name in server if base is None or server[name] != base.get(name)}
    return merge(
        COLUMNS,
        policies if isinstance(policies, FieldPolicies) else by_field(policies),
        base=base,
        server=server,
        client=client,
        theirs={name: Theirs(minutes(minute)) for name, minute in theirs.items()},
        edited_at=minutes(at),
    )


# ------------------------------------------------------------------------------------------------------- one by one


def larger(_base: Any, server: Any, client: Any) -> Any:
    return max(server, client)


@pytest.mark.parametrize(
    ("policy", "field", "base", "server", "client", "written"),
    [
        (server_wins, "title", "o", "theirs", "mine", None),
        (client_wins, "title", "o", "theirs", "mine", "mine"),
        (client_wins, "title", "o", "theirs", None, None),
        (union, "tags", ["a"], ["a", "b"], ["a", "c"], ["a", "b", "c"]),
        (union, "tags", ["a", "b"], ["b"], ["a", "b", "c"], ["b", "c"]),
        (union, "tags", ["a", "b"], ["a", "b", "c"], ["b"], ["b", "c"]),
        (union, "tags", ["a", "b"], ["c"], [], None),
        (union, "tags", [], ["x"], ["x", "y"], ["x", "y"]),
        (union, "tags", None, ["x"], ["y"], ["x", "y"]),
        (counter, "count", 10, 13, 12, 15),
        (counter, "count", 10, 9, 9, 8),
        (counter, "count", None, 3, 4, 7),
        (counter, "price", "1.10", "2.10", "1.35", "2.35"),
        (counter, "big", "9007199254740993", "9007199254740994", "9007199254740995", "9007199254740996"),
        (counter, "ratio", 1.0, 2.5, 1.25, 2.75),
        (STAGE, "status", "new", "begun", "done", "done"),
        (STAGE, "status", "new", "done", "begun", None),
        (merged_by(larger), "count", 1, 5, 7, 7),
        (merged_by(larger), "count", 1, 9, 7, None),
    ],
)
def test_a_policy_decides_an_overlapping_field(
    policy: Policy, field: str, base: Any, server: Any, client: Any, written: Any
) -> None:
    outcome = decide(policy, {field: base}, {field: server}, {field: client})
    stays = written is None and not (policy is client_wins and client is None)
    wanted = {} if stays else {field: written}
    assert outcome == Apply(wanted, merged=True, decided={field: policy.kind})


@pytest.mark.parametrize(
    ("policy", "field", "base", "server", "client"),
    [
        (manual, "title", "o", "theirs", "mine"),
        (union, "tags", ["a"], None, ["b"]),
        (union, "tags", ["a"], ["b"], None),
        (STAGE, "status", "new", "lost", "done"),
        (STAGE, "status", "new", "begun", "lost"),
        (STAGE, "status", "new", None, "done"),
    ],
)
def test_what_a_policy_cannot_decide_a_person_does(
    policy: Policy, field: str, base: Any, server: Any, client: Any
) -> None:
    assert decide(policy, {field: base}, {field: server}, {field: client}) == Overlap((field,))


@pytest.mark.parametrize(("mine", "theirs", "written"), [(5, 3, "mine"), (3, 5, None), (4, 4, None)])
def test_the_later_edit_wins(mine: int, theirs: int, written: str | None) -> None:
    rows = {"title": "o"}, {"title": "x"}, {"title": "mine"}
    outcome = decide(last_write_wins, *rows, theirs={"title": theirs}, at=mine)
    assert outcome == Apply({} if written is None else {"title": written}, True, {"title": "last_write_wins"})


def test_one_field_for_a_person_makes_the_whole_edit_theirs_to_decide() -> None:
    policies = by_field(manual, status=client_wins)
    base = {"title": "o", "status": "o", "count": 1}
    server = {"title": "theirs", "status": "theirs", "count": 1}
    client = {"status": "mine", "count": 2, "title": "mine"}
    assert decide(policies, base, server, client) == Overlap(("title",))
    del client["title"]
    assert decide(policies, base, server, client) == Apply(client, True, {"status": "client_wins"})


@pytest.mark.parametrize("policy", [manual, server_wins, client_wins, last_write_wins, union, STAGE])
def test_a_base_that_nobody_knows_any_more_counts_as_changed_by_both(policy: Policy) -> None:
    server, client = {"title": "theirs", "count": 1}, {"title": "mine", "count": 1}
    outcome = decide(policy, None, server, client, theirs={})
    if policy in (server_wins, client_wins):
        wanted = {"title": "mine"} if policy is client_wins else {}
        assert outcome == Apply(wanted, False, {"title": policy.kind})
    else:
        assert outcome == Overlap(("title",))
    assert decide(counter, None, {"count": 1}, {"count": 2}) == Overlap(("count",))


# ------------------------------------------------------------------------------------------------------------ laws


values = {
    "title": st.text(max_size=3) | st.none(),
    "status": st.sampled_from(STATES),
    "tags": st.lists(st.sampled_from("abcde"), unique=True, max_size=4),
    "count": st.integers(-100, 100),
    "big": st.integers(2**53, 2**55).map(str),
    "price": st.decimals(-100, 100, places=2).map(lambda number: format(number, "f")),
    "data": st.recursive(st.integers(0, 3) | st.booleans(), lambda inner: st.lists(inner, max_size=2), max_leaves=3),
}
rows = st.fixed_dictionaries(values)
edits = st.fixed_dictionaries({}, optional=values)
deciding = st.sampled_from([server_wins, client_wins, last_write_wins, union, counter, STAGE])


@given(rows, edits, edits)
def test_edits_of_different_fields_merge_whatever_the_policy(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    second = {name: value for name, value in second.items() if name not in first}
    outcome = decide(manual, base, base | first, second, theirs=dict.fromkeys(first, 0))
    assert isinstance(outcome, Apply)
    assert outcome.decided == {}
    assert base | first | outcome.values == base | first | second


@given(rows, edits, st.sampled_from([manual, server_wins, client_wins, last_write_wins, union, STAGE]))
def test_equal_edits_are_no_conflict(base: dict[str, Any], edit: dict[str, Any], policy: Policy) -> None:
    assert decide(policy, base, base | edit, edit, theirs=dict.fromkeys(edit, 0)) == Apply({}, bool(edit), {})


@given(rows, edits, edits)
def test_nothing_is_changed_that_the_device_did_not_send(
    base: dict[str, Any], theirs: dict[str, Any], mine: dict[str, Any]
) -> None:
    outcome = decide(manual, base, base | theirs, mine, theirs=dict.fromkeys(theirs, 0))
    if isinstance(outcome, Apply):
        assert set(outcome.values) <= set(mine)
    else:
        assert set(outcome.fields) <= set(mine) & set(theirs)


def arrive(policy: Policy, base: dict[str, Any], field: str, *edits: tuple[int, Any]) -> Any:
    """The field after edits of as many devices, all made on ``base``, arrived in this order: (minute, value)."""
    now, last = base[field], None
    for minute, value in edits:
        theirs = {} if last is None else {field: last}
        outcome = decide(policy, {field: base[field]}, {field: now}, {field: value}, theirs=theirs, at=minute)
        assert isinstance(outcome, Apply)
        if field in outcome.values:
            now, last = outcome.values[field], minute
    return now


@given(rows, rows, rows)
def test_counters_count_everything_in_any_order(base: dict[str, Any], one: dict[str, Any], two: dict[str, Any]) -> None:
    for field in ("count", "price", "big"):
        start, first, second = (Decimal(row[field]) for row in (base, one, two))
        if start in (first, second):
            continue
        edits = (1, one[field]), (2, two[field])
        found = {Decimal(arrive(counter, base, field, *order)) for order in (edits, edits[::-1])}
        assert found == {first + second - start}


@given(rows, rows, rows)
def test_lists_hold_what_anybody_added_and_nothing_that_anybody_removed(
    base: dict[str, Any], one: dict[str, Any], two: dict[str, Any]
) -> None:
    start, first, second = (set(row["tags"]) for row in (base, one, two))
    wanted = (start & first & second) | (first - start) | (second - start)
    edits = (1, one["tags"]), (2, two["tags"])
    for order in (edits, edits[::-1]):
        assert set(arrive(union, base, "tags", *order)) == wanted


@given(rows, rows, rows)
def test_states_only_go_forward_in_any_order(base: dict[str, Any], one: dict[str, Any], two: dict[str, Any]) -> None:
    edits = (1, one["status"]), (2, two["status"])
    found = {arrive(STAGE, base, "status", *order) for order in (edits, edits[::-1])}
    changed = {row["status"] for row in (one, two)} - {base["status"]}
    if len(changed) == 2:
        assert found == {max(changed, key=STATES.index)}


@given(rows, rows, rows, st.permutations([1, 2]))
def test_the_last_edit_wins_in_any_order(
    base: dict[str, Any], one: dict[str, Any], two: dict[str, Any], times: list[int]
) -> None:
    if len({base["title"], one["title"], two["title"]}) == 3:
        edits = (times[0], one["title"]), (times[1], two["title"])
        last = dict(edits)[2]
        assert {arrive(last_write_wins, base, "title", *order) for order in (edits, edits[::-1])} == {last}


# ------------------------------------------------------------------------------------------------------ all of it


def model(policy: str, base: Any, server: Any, client: Any, *, touched: bool, later: bool) -> Any:
    """What one text field becomes; the same rules, written down a second time. "?" is a question for a person."""
    if client == server:
        return server
    if not touched:
        return client
    if client == base:
        return server
    return {
        "manual": "?",
        "server_wins": server,
        "client_wins": client,
        "last_write_wins": client if later else server,
        "furthest": (max(server, client, key=STATES.index) if server in STATES and client in STATES else "?"),
    }[policy]


def test_every_small_case_agrees_with_the_model() -> None:
    texts = (None, "new", "done", "other")
    cases = 0
    for policy, base, server, client, touched, later in product(
        (manual, server_wins, client_wins, last_write_wins, furthest("new", "begun", "done")),
        texts, texts, texts, (True, False), (True, False),
    ):  # fmt: skip
        if not touched and server != base:
            continue
        rows = {"title": base}, {"title": server}, {"title": client}
        outcome = decide(policy, *rows, theirs={"title": 5} if touched else {}, at=9 if later else 1)
        wanted = model(policy.kind, base, server, client, touched=touched, later=later)
        if isinstance(outcome, Overlap):
            assert wanted == "?"
        else:
            assert outcome.values.get("title", server) == wanted
            assert ("title" in outcome.decided) == (touched and client not in (server, base))
        cases += 1
    assert cases == 5 * (64 + 16) * 2
