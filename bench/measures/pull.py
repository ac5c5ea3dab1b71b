"""How many rows a second a device with nothing gets, in pages of 1,000 and 5,000."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from bench.contenders import Contender, Pulled, Watched
from bench.contenders import pull as pull_all
from bench.figures import Figure, Spent
from bench.load import drive
from bench.meter import Meter
from bench.plan import Bench, rotated

PAGES = (1000, 5000)


def pull(bench: Bench, rows: int, *, pages: Sequence[int] = PAGES) -> Iterator[Figure]:
    """``rows`` is what the tables were filled to, for the figure's name; they may have a few more."""
    for page in pages:
        yield from _pull(bench, rows, page)


def _pull(bench: Bench, rows: int, page: int) -> Iterator[Figure]:
    case = f"{rows:,} rows, pages of {page:,}"
    spent = {contender.name: Spent() for contender in bench.contenders}
    extra: dict[str, dict[str, Any]] = defaultdict(dict)
    counts = {contender.name: contender.count() for contender in bench.contenders}
    for number in range(bench.plan.rounds + 1):
        for contender in rotated(bench.contenders, number):
            with Meter({"server": contender.pid, "PostgreSQL": bench.cluster.pid}) as meter:
                leg = drive(1, partial(prepare, contender, page))
            pulled = leg.results[0]
            if pulled.changes != counts[contender.name]:
                raise SystemExit(f"{contender.name}: {pulled.changes} rows pulled of {counts[contender.name]}")
            if number == 0:
                continue  # warm-up
            spent[contender.name].add(pulled.changes, leg.seconds, meter.cpu)
            extra[contender.name]["bytes/row"] = round(pulled.size / pulled.changes)
    for watched in bench.watched():
        extra[watched.name]["correct"] = _correct(watched, page)
    for name, each in spent.items():
        yield each.rate("fresh pull", case, name, extra[name])
    for name, each in spent.items():
        yield each.cpu("fresh pull", case, name)


def prepare(contender: Contender, page: int, number: int) -> Callable[[], Pulled]:
    """Connect; the function returned pulls everything."""
    client = contender.client(number)
    return lambda: pull_all(client, None, page)


def _correct(contender: Watched, page: int) -> bool:
    """Once more, untimed: what arrives is what the database holds, row for row and version for version."""
    client = contender.client(0)
    held: dict[str, int] = {}
    pull_all(client, None, page, held=held)
    client.close()
    return held == contender.rows()
