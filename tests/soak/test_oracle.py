"""The oracle for hours instead of seconds: many seeds, more traffic."""

import pytest

from tests.engine.test_oracle import free_running, one_at_a_time
from tests.fixtures.engine import both_servers

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("seed", range(100, 220))
async def test_one_statement_at_a_time(demo_url: str, seed: int) -> None:
    tally = await one_at_a_time(demo_url, seed, 4000)
    tally.at_least(transactions=200, exact=60, removals=100, restarts=5, long_deltas=10)


@both_servers
@pytest.mark.parametrize("seed", range(100, 105))
async def test_free_running(demo_url: str, seed: int) -> None:
    tally = await free_running(demo_url, seed, 10_000, writers=12, devices=6)
    tally.at_least(rolled_back=1000, exact=1000, removals=5000, restarts=300, long_deltas=300, resyncs=5, by_change=20)
