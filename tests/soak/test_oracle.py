"""The oracle for hours instead of seconds: many seeds, more traffic.

What one history shows depends on its seed, and on how busy the machine is; so the vacuity guard is asked of several
histories together.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.engine.test_oracle import free_running, one_at_a_time
from tests.engine.traffic import Tally
from tests.fixtures.cluster import Cluster
from tests.fixtures.engine import both_servers

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]


@contextmanager
def history(cluster: Cluster, template: str, seed: int) -> Iterator[str]:
    """A fresh database for one history; what goes wrong in it says the seed."""
    url = cluster.create_database(template)
    try:
        yield url
    except BaseException as error:
        error.add_note(f"with the seed {seed}")
        raise
    finally:
        cluster.drop_database(url)


@pytest.mark.parametrize("first", range(100, 220, 10))
async def test_one_statement_at_a_time(engine_cluster: Cluster, engine_template: str, first: int) -> None:
    tally = Tally()
    for seed in range(first, first + 10):
        with history(engine_cluster, engine_template, seed) as url:
            tally += await one_at_a_time(url, seed, 4000)
    tally.at_least(transactions=4000, rolled_back=800, pages=3000, exact=700, removals=2000)
    tally.at_least(restarts=700, long_deltas=120, resyncs=60, by_change=500, replays=180)


@both_servers
async def test_free_running(engine_cluster: Cluster, engine_template: str) -> None:
    tally = Tally()
    for seed in range(100, 105):
        with history(engine_cluster, engine_template, seed) as url:
            tally += await free_running(url, seed, 10_000, writers=12, devices=6)
    tally.at_least(transactions=50_000, rolled_back=8000, pages=10_000, exact=2000, removals=25_000)
    tally.at_least(restarts=1500, long_deltas=1500, resyncs=1000, by_change=50, replays=800)
