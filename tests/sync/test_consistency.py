"""The consistency table: every policy, whoever edited later, whoever changed the field, whatever their clocks say, in
both orders of arrival. On the real engine, through HTTP: each of two phones sends one batch a pair of clocks and order.

The server's clock stands still here, so that times of edit are exact and ties are really ties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx
import psycopg
import pytest
from msgspec.structs import replace

from homing.settings import Settings
from tests.fixtures.server import serving
from tests.sync.scene import Caller, Json, Scene, update

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=45)
"""Not behind the database in a long run of tests, as this is read when they are collected; and within an access token,
which is good from the database's time on."""
TEN_YEARS = timedelta(days=3652)
EDITED = NOW - timedelta(hours=6)
"""When one of the two edited; the other at another of WHEN."""
WHEN = {"older": EDITED - timedelta(hours=2), "equal": EDITED, "newer": EDITED + timedelta(hours=2)}


@dataclass
class ServerClock:
    """Stands still unless a test moves it."""

    now: datetime = NOW


SERVER = ServerClock()

Clock = Callable[[datetime], datetime]
"""Real time → what a phone's clock says then."""


def drifting(moment: datetime) -> datetime:
    """Right at some time, and a second an hour faster since."""
    return moment + (moment - (NOW - timedelta(days=30))) / 3600


CLOCKS: dict[str, Clock] = {
    "right": lambda moment: moment,
    "ten years ahead": lambda moment: moment + TEN_YEARS,
    "ten years behind": lambda moment: moment - TEN_YEARS,
    "drifting": drifting,
}


@dataclass(frozen=True)
class Field:
    """A field of the shop's goods and what two phones make of it. ``both``: what it is after both changed it, by order
    of arrival, where the times of edit do not matter."""

    policy: str
    base: Any
    a: Any
    b: Any
    both: tuple[Any, Any] | None = None


FIELDS = {
    "title": Field("manual", "base", "by a", "by b", ("by a", "by b")),
    "price": Field("server_wins", "1.00", "2.00", "3.00", ("2.00", "3.00")),
    "colour": Field("client_wins", "red", "blue", "green", ("green", "blue")),
    "note": Field("last_write_wins", "base", "by a", "by b"),
    "tags": Field("union", ["x", "y"], ["x", "a"], ["x", "y", "b"], (["a", "b", "x"], ["a", "b", "x"])),
    "stock": Field("counter", 10, 13, 8, (11, 11)),
    "stage": Field("furthest", "new", "sold", "shown", ("sold", "sold")),
    "label": Field("function", "base", "by a", "by b", ("by a + by b", "by a + by b")),
}
SENT = ("changed", "as it was", "not sent")
"""What an edit does to the field. One that does not change it changes another one."""


@dataclass(frozen=True)
class Case:
    """A row: its field, what A and B do to it, and when A edited, against B."""

    field: str
    when: str
    a: str
    b: str


CASES = [Case(*each) for each in product(FIELDS, WHEN, SENT, SENT)]


@pytest.fixture(scope="module")
def scene(shop_settings: Settings) -> Iterator[Scene]:
    assert shop_settings.database_url is not None
    with (
        serving(replace(shop_settings, access_token_seconds=3600), clock=lambda: SERVER.now) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
        psycopg.connect(shop_settings.database_url, autocommit=True) as conn,
    ):
        yield Scene(server, http, conn)


def other(field: str, who: str) -> str:
    """A field that is not the case's, and not what the other phone writes."""
    free = [name for name in ("colour", "price", "label") if name != field]
    return free[0] if who == "a" else free[1]


def item(case: Case, row: str, who: str, clock: Clock) -> Json:
    field, does = FIELDS[case.field], getattr(case, who)
    values: Json = {}
    if does == "changed":
        values[case.field] = getattr(field, who)
    else:
        values[other(case.field, who)] = "7.00" if other(case.field, who) == "price" else f"other of {who}"
        if does == "as it was":
            values[case.field] = field.base
    made = WHEN[case.when] if who == "a" else EDITED
    return {**update("good", row, 1, **values), "edited_at": said(clock(made))}


def said(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def corrected(moment: datetime, clock: Clock) -> datetime:
    """A time of edit as the server understands it: less what the clock is off when the batch is sent."""
    return min(clock(moment) + (NOW - clock(NOW)), NOW)


def expected(case: Case, order: str, clocks: dict[str, Clock]) -> tuple[Any, bool]:
    """The field after both arrived, and whether the second was a conflict: the rules, written down a second time."""
    field = FIELDS[case.field]
    changed = [who for who in order if getattr(case, who) == "changed"]
    if len(changed) < 2:
        return (getattr(field, changed[0]) if changed else field.base), False
    if field.both is not None:
        return field.both["ab".index(order[0])], field.policy == "manual"
    times = {"a": corrected(WHEN[case.when], clocks["a"]), "b": corrected(EDITED, clocks["b"])}
    first, second = order
    return getattr(field, second if times[second] > times[first] else first), False


def comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else str(value) if value is not None else None


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("clock_of_b", CLOCKS)
@pytest.mark.parametrize("clock_of_a", CLOCKS)
def test_every_combination(scene: Scene, clock_of_a: str, clock_of_b: str, order: str) -> None:
    clocks = {"a": CLOCKS[clock_of_a], "b": CLOCKS[clock_of_b]}
    a = scene.person()
    phones: dict[str, Caller] = {"a": a, "b": scene.signed_in(a)}
    base = {name: field.base for name, field in FIELDS.items()}
    rows = [
        str(row)
        for (row,) in scene.rows(
            "INSERT INTO shop.goods (team_id, title, price, colour, note, tags, stock, stage, label)"
            " SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s FROM generate_series(1, %s) RETURNING id",
            a.team,
            *(base[name] for name in ("title", "price", "colour", "note", "tags", "stock", "stage", "label")),
            len(CASES),
        )
    ]
    results: dict[str, list[Json]] = {}
    for who in order:
        items = [item(case, row, who, clocks[who]) for case, row in zip(CASES, rows, strict=True)]
        results[who] = phones[who].push(*items, client_time=said(clocks[who](NOW)))
    found = {
        str(row): dict(zip(FIELDS, values, strict=True))
        for row, *values in scene.rows(
            f"SELECT id, {', '.join(FIELDS)} FROM shop.goods WHERE id = ANY (%s::uuid[])",
            rows,
        )
    }
    first, second = order
    wrong = []
    for case, row, one, two in zip(CASES, rows, results[first], results[second], strict=True):
        value, conflict = expected(case, order, clocks)
        outcome = comparable(found[row][case.field]), one["status"], two["status"]
        wanted = comparable(value), "ok", "conflict" if conflict else "ok"
        if outcome != wanted:
            wrong.append((case, outcome, wanted))
    assert wrong == []


def test_the_table_is_whole() -> None:
    """Every policy there is, and in both orders the same end wherever a policy does not go by the order itself."""
    assert len(CASES) == 8 * 3 * 3 * 3
    by_order = {"manual", "server_wins", "client_wins"}
    clocks = {"a": CLOCKS["ten years ahead"], "b": CLOCKS["ten years behind"]}
    for case in CASES:
        policy = FIELDS[case.field].policy
        if policy not in by_order and not (policy == "last_write_wins" and case.when == "equal"):
            assert expected(case, "ab", clocks) == expected(case, "ba", clocks)


# ------------------------------------------------------------------------------------------ what a table does not show


def note(scene: Scene, good: str) -> Any:
    return scene.value("SELECT note FROM shop.goods WHERE id = %s", good)


def edit(good: str, value: str, at: datetime | str, version: int = 1) -> Json:
    return {**update("good", good, version, note=value), "edited_at": at if isinstance(at, str) else said(at)}


def test_a_phone_in_2036_does_not_win_for_ten_years(scene: Scene) -> None:
    """It says nothing of its clock, so its edit counts as made when it arrived: whoever edits later than that wins."""
    wrong = scene.person()
    right = scene.signed_in(wrong)
    good = scene.good(wrong.team, note="base")
    right.push(edit(good, "before it came", NOW - timedelta(hours=1)))
    wrong.push(edit(good, "2036", NOW + TEN_YEARS))
    assert note(scene, good) == "2036"
    SERVER.now = NOW + timedelta(minutes=2)
    right.push(edit(good, "later than its arrival", NOW + timedelta(minutes=1)))
    SERVER.now = NOW
    assert note(scene, good) == "later than its arrival"


def test_a_phone_whose_battery_was_empty_counts_from_1970_and_is_put_right(scene: Scene) -> None:
    right = scene.person()
    reset = scene.signed_in(right)
    good = scene.good(right.team, note="base")
    right.push(edit(good, "two hours ago", NOW - timedelta(hours=2)))
    reset.push(edit(good, "an hour ago", "1970-01-01T00:30:00Z"), client_time="1970-01-01T01:30:00Z")
    assert note(scene, good) == "an hour ago"


def test_the_offset_is_kept_for_batches_that_say_no_time(scene: Scene) -> None:
    right = scene.person()
    ahead = scene.signed_in(right)
    first, second = (scene.good(right.team, note="base") for _ in range(2))
    ahead.push(edit(first, "measured", NOW + TEN_YEARS), client_time=said(NOW + TEN_YEARS))
    right.push(edit(second, "an hour ago", NOW - timedelta(hours=1)))
    ahead.push(edit(second, "two hours ago", NOW + TEN_YEARS - timedelta(hours=2)))
    assert note(scene, second) == "an hour ago"


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
    ],
)
@pytest.mark.parametrize("client_time", [None, "2010-01-01T00:00:00Z", "2110-01-01T00:00:00Z"])
def test_times_at_the_ends_of_time_stop_nobody(scene: Scene, moment: str, client_time: str | None) -> None:
    """PostgreSQL would keep a year before Christ, and say it in a way that nobody reads."""
    odd = scene.person()
    right = scene.signed_in(odd)
    good = scene.good(odd.team, note="base")
    assert odd.push(edit(good, "odd", moment), client_time=client_time)[0]["status"] == "ok"
    (result,) = right.push(edit(good, "right", NOW - timedelta(hours=1)))
    assert (result["status"], result["merged"]) == ("ok", True)
    assert note(scene, good) == ("right" if moment.startswith("0001") else "odd")


def test_each_item_of_a_batch_has_its_own_time(scene: Scene) -> None:
    """A's note is older than B's, although A edited something else of the row later, in the same batch."""
    outcomes = set()
    for order in ("ab", "ba"):
        a = scene.person()
        b = scene.signed_in(a)
        good = scene.good(a.team, note="base")
        batches = {
            "a": (
                a,
                edit(good, "by a", NOW - timedelta(hours=3)),
                {**update("good", good, 1, colour="red"), "edited_at": said(NOW - timedelta(hours=1))},
            ),
            "b": (b, edit(good, "by b", NOW - timedelta(hours=2))),
        }
        for who in order:
            phone, *items = batches[who]
            phone.push(*items)
        outcomes.add(note(scene, good))
    assert outcomes == {"by b"}


def test_who_overwrote_a_value_knowingly_did_so_after_it(scene: Scene) -> None:
    """C saw A's note and wrote over it, with a clock that is wrong unnoticed. B's note, older than A's, comes last."""
    outcomes = set()
    for order in ("abc", "acb"):
        a = scene.person()
        b, c = scene.signed_in(a), scene.signed_in(a)
        good = scene.good(a.team, note="base")
        for who in order:
            if who == "a":
                a.push(edit(good, "by a", NOW - timedelta(hours=2)))
            elif who == "b":
                b.push(edit(good, "by b", NOW - timedelta(hours=3)))
            else:
                c.push(edit(good, "by c", NOW - timedelta(hours=4), version=2))
        outcomes.add(note(scene, good))
    assert outcomes == {"by c"}


def test_a_device_takes_back_what_it_wrote(scene: Scene) -> None:
    """Sent as it was at the base, but the device itself changed it since: that is an edit."""
    a = scene.person()
    b = scene.signed_in(a)
    good = scene.good(a.team, note="base")
    a.push(edit(good, "by a", NOW - timedelta(hours=4)))
    b.push(edit(good, "by b", NOW - timedelta(hours=3)))
    a.push(edit(good, "base", NOW - timedelta(hours=2)))
    assert note(scene, good) == "base"
