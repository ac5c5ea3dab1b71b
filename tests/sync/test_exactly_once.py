"""A push takes effect exactly once, wherever it is cut off.

A server in a process of its own talks to PostgreSQL over a wire (wire.py) that is cut at statements (in the soak at
every message) of a push, before it arrives or before its answer does: the server is killed (SIGKILL), or PostgreSQL
ends the connection. Then the same batch is sent again, by its token or with only its items' own keys, and what became
of it is read from the database, in places that would show it twice: a counter, a journal, the history.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from tests.sync.bench import Bench, Blow
from tests.sync.errand import Errand, Way
from tests.sync.scene import Scene, ok
from tests.sync.wire import STATEMENTS, Place, Side

BEGINS = 2
"""A batch that is done again has two transactions. What opens them is said before the device is named, and may or may
not be answered before."""


def assert_both_sides_of_the_commit(blows: list[Blow]) -> None:
    committed = sum(blow.committed for blow in blows)
    assert 0 < committed < len(blows)
    # Only an answer tells a client of success, and only if there was some.
    assert all(blow.committed for blow in blows if blow.heard == 200)


def test_the_server_is_killed_before_statements_and_after_the_last(bench: Bench) -> None:
    least = bench.counted(way="fast")
    blows = bench.sweep("said", STATEMENTS["said"], "server", way="fast", by_token=True, step=4)
    assert len(blows) >= (least.count("said", STATEMENTS["said"]) - BEGINS) // 4 >= 3
    last = Place("heard", least.count("heard", STATEMENTS["heard"]), STATEMENTS["heard"])
    for by_token in (True, False):
        blow = bench.strike(last, "server", way="fast", by_token=by_token)
        assert blow == Blow(committed=True, heard=None)
        blows.append(blow)
    assert bench.node.starts >= 1 + len(blows)
    assert_both_sides_of_the_commit(blows)


@pytest.mark.parametrize(
    ("way", "by_token", "side", "step"),
    [
        pytest.param("fast", True, "said", 3, id="fast, by batch_token, before statements"),
        pytest.param("fast", False, "said", 2, id="fast, by the items' keys, before statements"),
        pytest.param("fast", False, "heard", 3, id="fast, by the items' keys, after statements"),
        pytest.param("careful", False, "said", 6, id="careful, by the items' keys, before statements"),
    ],
)
def test_the_connection_ends(bench: Bench, way: Way, by_token: bool, side: Side, step: int) -> None:
    """At some statements; at every one, and at every message between, in the soak below."""
    least = bench.counted(way=way)
    blows = bench.sweep(side, STATEMENTS[side], "backend", way=way, by_token=by_token, step=step)
    assert len(blows) >= (least.count(side, STATEMENTS[side]) - BEGINS) // step >= 4
    if side == "heard":
        last = Place(side, least.count(side, STATEMENTS[side]), STATEMENTS[side])
        blow = bench.strike(last, "backend", way=way, by_token=by_token)
        assert blow is not None
        assert_both_sides_of_the_commit([*blows, blow])


@pytest.mark.parametrize(("how", "step"), [("backend", 1), ("server", 5)])
def test_a_batch_that_goes_at_once_is_cut(bench: Bench, how: str, step: int) -> None:
    """In one round trip, of which any message may be the last."""
    least = bench.counted(way="at once")
    assert least.count("heard", b"Z") == 1
    said = bench.sweep("said", b"", how, way="at once", by_token=False, step=step)
    heard = bench.sweep("heard", b"", how, way="at once", by_token=False, step=step)
    assert min(len(said), len(heard)) >= 15 // step
    assert_both_sides_of_the_commit(said + heard)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("by_token", [True, False], ids=["by batch_token", "by the items' keys"])
@pytest.mark.parametrize("way", ["fast", "careful"])
@pytest.mark.parametrize("how", ["server", "backend"])
def test_the_end_comes_at_any_message(bench: Bench, how: str, way: Way, by_token: bool) -> None:
    least = bench.counted(way=way)
    said = bench.sweep("said", b"", how, way=way, by_token=by_token)
    heard = bench.sweep("heard", b"", how, way=way, by_token=by_token)
    assert len(said) >= least.count("said") - 5 * BEGINS >= 50
    assert len(heard) >= least.count("heard") - 5 * BEGINS >= 50
    assert_both_sides_of_the_commit(said + heard)


@pytest.mark.parametrize("by_token", [True, False], ids=["by batch_token", "by the items' keys"])
@pytest.mark.parametrize("way", ["at once", "fast", "careful"])
def test_nobody_is_there_to_take_the_answer(bench: Bench, way: Way, by_token: bool) -> None:
    least = bench.counted(way=way)
    last = Place("heard", least.count("heard", STATEMENTS["heard"]), STATEMENTS["heard"])
    blow = bench.strike(last, "client", way=way, by_token=by_token)
    assert blow == Blow(committed=True, heard=None)


@pytest.mark.parametrize("by_token", [True, False], ids=["by batch_token", "by the items' keys"])
@pytest.mark.parametrize("way", ["at once", "fast", "careful"])
def test_a_batch_comes_many_times_at_once_to_two_nodes(scene: Scene, bench: Bench, way: Way, by_token: bool) -> None:
    errand, start = Errand(bench.device, way=way), Barrier(8)
    envelope = {"batch_token": f"the token of {errand.name}"} if by_token else {}

    def send(number: int) -> httpx.Response:
        start.wait()
        if number % 2:
            return bench.answer(errand, **envelope)
        return bench.device.send(*errand.items, **envelope)

    with ThreadPoolExecutor(8) as pool:
        answers = [ok(answer) for answer in pool.map(send, range(8))]
    bench.check(errand, answers[0], envelope)
    told = [answer if by_token else answer["results"] for answer in answers]
    assert told == told[:1] * 8
