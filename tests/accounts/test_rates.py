"""Rates on a real database: several nodes are several ``Rates`` on it. Time passes when the test says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from homing.accounts.rates import Rates, Who, forget
from homing.postgres.database import Database
from homing.protocol.rates import Rate, RateLimited
from tests.accounts.later import DAY, Time

SECRET = b"s" * 32
SLOT = DAY / 15
"""More than an hour and a half: none begins while a test runs."""
RATES = {"strict": Rate(100, DAY), "few": Rate(3, DAY), "other": Rate(5, DAY), "off": None}


Nodes = Callable[..., Awaitable[Rates]]


@pytest.fixture
def time(database_url: str) -> Iterator[Time]:
    clock = Time(database_url)
    yield clock
    clock.close()


@pytest.fixture
async def nodes(database_url: str, time: Time) -> AsyncIterator[Nodes]:
    """Makes nodes, each with a pool of its own."""
    bases: list[Database] = []

    async def make(rates: dict[str, Rate | None] = RATES, keys_max: int = 1000) -> Rates:
        database = Database(database_url, pool_size=4)
        await database.open()
        bases.append(database)
        return Rates(database, rates, secret=SECRET, clock=time, keys_max=keys_max)

    yield make
    for base in bases:
        await base.close()


async def admitted(rates: Rates, who: Who, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            await rates.take(who)
            count += 1
        except RateLimited:
            pass
    return count


async def test_so_many_and_no_more(nodes: Nodes) -> None:
    node = await nodes()
    assert await admitted(node, ("few", "ada"), 10) == 3
    assert await admitted(node, ("few", "ben"), 2) == 2
    assert await admitted(node, ("other", "ada"), 10) == 5
    assert await admitted(node, ("off", "ada"), 1000) == 1000


async def test_most_requests_ask_nobody(nodes: Nodes) -> None:
    """18 questions for a hundred permits and one that tells that there are none; the refused ask no more."""
    node = await nodes()
    assert await admitted(node, ("strict", "ada"), 300) == 100
    assert node.asked <= 20


async def test_two_nodes_at_once_admit_no_more_than_one(nodes: Nodes) -> None:
    """Two hundred requests at two nodes at the same moment, three users, and again: the bound is met exactly."""
    one, other = await nodes(), await nodes()
    found: Counter[str] = Counter()

    async def request(node: Rates, who: str) -> None:
        try:
            await node.take(("strict", who))
            found[who] += 1
        except RateLimited:
            pass

    for _ in range(2):
        await asyncio.gather(*(request(node, who) for _ in range(70) for who in "abc" for node in (one, other)))
    assert all(90 <= found[who] <= 100 for who in "abc"), found
    # What one node still holds is used there.
    for _ in range(30):
        await asyncio.gather(*(request(node, who) for who in "abc" for node in (one, other)))
    assert found == dict.fromkeys("abc", 100)


async def test_a_window_slides(nodes: Nodes, time: Time) -> None:
    """Two were taken in one slot, one three slots later: each comes back when its own window is over, not before."""
    node = await nodes()
    assert await admitted(node, ("few", "ada"), 2) == 2
    time.pass_by(seconds=SLOT * 3)
    assert await admitted(node, ("few", "ada"), 2) == 1
    time.pass_by(seconds=SLOT * 12)
    assert await admitted(node, ("few", "ada"), 1) == 0
    time.pass_by(seconds=SLOT * 1)
    assert await admitted(node, ("few", "ada"), 5) == 2
    time.pass_by(seconds=SLOT * 3)
    assert await admitted(node, ("few", "ada"), 5) == 1


async def test_in_no_window_more_than_the_quota(nodes: Nodes, time: Time) -> None:
    """A greedy client at two nodes, slot by slot: any sixteen slots in a row hold a quota at most."""
    one, other = await nodes(), await nodes()
    by_slot = []
    for slot in range(40):
        by_slot.append(await admitted(one, ("strict", "ada"), slot % 7) + await admitted(other, ("strict", "ada"), 9))
        time.pass_by(seconds=SLOT * 1)
    sums = [sum(by_slot[first : first + 16]) for first in range(len(by_slot) - 15)]
    assert 90 <= max(sums) <= 100, by_slot


async def test_unspent_permits_come_back(nodes: Nodes, time: Time) -> None:
    """A node takes a quarter, spends one and sees the user no more: when the slot is over the rest is everybody's."""
    one, other = await nodes(), await nodes()
    await one.take(("strict", "ada"))
    assert await admitted(other, ("strict", "ada"), 100) == 75
    time.pass_by(seconds=SLOT * 1)
    await one.take(("few", "somebody else"))
    await one.settle()
    assert await admitted(other, ("strict", "ada"), 100) == 24


async def test_a_node_that_stops_gives_everything_back(nodes: Nodes) -> None:
    one, other = await nodes(), await nodes()
    await one.take(("strict", "ada"))
    await one.close()
    assert await admitted(other, ("strict", "ada"), 200) == 99


async def test_what_was_right_does_not_count(nodes: Nodes) -> None:
    node = await nodes()
    for _ in range(10):
        node.give_back(await node.take(("few", "ada"), ("other", "here")))
    assert await admitted(node, ("few", "ada"), 10) == 3
    # As long as it lasts, it counts: three at once are three.
    taken = [await node.take(("few", "ben")) for _ in range(3)]
    with pytest.raises(RateLimited):
        await node.take(("few", "ben"))
    node.give_back(taken[0])
    assert await admitted(node, ("few", "ben"), 10) == 1


async def test_of_two_rates_the_tighter_one_refuses_and_is_told(nodes: Nodes) -> None:
    node = await nodes()
    standings = [(await node.take(("strict", "ada"), ("few", "phone"))).standing for _ in range(3)]
    assert [(each.name, each.left) for each in standings if each] == [("few", 2), ("few", 1), ("few", 0)]
    with pytest.raises(RateLimited) as caught:
        await node.take(("strict", "ada"), ("few", "phone"))
    assert caught.value.standing.name == "few"
    assert dict(caught.value.standing.headers()).keys() == {"ratelimit-policy", "ratelimit"}
    assert DAY <= (caught.value.retry_after or 0) <= DAY * 16 / 15


async def test_a_loose_rate_asks_nobody_until_a_tenth_is_used(nodes: Nodes, time: Time) -> None:
    """And then counts what went before: one node admits no more than the quota, two a tenth more each at most."""
    rates: dict[str, Rate | None] = {"loose": Rate(100, DAY, loose=True)}
    node, other = await nodes(rates), await nodes(rates)
    assert await admitted(node, ("loose", "ada"), 10) == 10
    assert node.asked == 0
    assert await admitted(node, ("loose", "ada"), 300) == 90
    assert await admitted(other, ("loose", "ada"), 300) == 10
    time.pass_by(seconds=SLOT * 17)
    assert await admitted(node, ("loose", "ada"), 10) == 10


async def test_memory_is_bounded_and_the_longest_unasked_goes_first(nodes: Nodes) -> None:
    node = await nodes(keys_max=3)
    for who in "abcd":
        await node.take(("few", who))
    assert node.known == 3
    assert await admitted(node, ("few", "d"), 5) == 2


async def test_rows_that_count_no_more_go(nodes: Nodes, db: Database, time: Time) -> None:
    node = await nodes()
    await node.take(("few", "ada"))
    time.pass_by(seconds=SLOT * 16)
    await node.take(("few", "ben"))
    async with db.connection() as conn:
        await conn.execute(
            "UPDATE homing.rate_counts SET slot = slot - 18 WHERE slot = (SELECT min(slot) FROM homing.rate_counts)"
        )
    assert [await forget(db), await forget(db)] == [1, 0]
    assert await admitted(node, ("few", "ben"), 5) == 2
