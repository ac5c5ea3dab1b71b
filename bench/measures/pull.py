"""How many rows a second a device with nothing gets, in pages of 1,000 and 5,000."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench.contenders import Contender, Pulled, Watched
from bench.contenders import pull as pull_all
from bench.figures import Figure
from bench.load import drive
from bench.meter import Meter
from bench.plan import Bench, rotated

PAGES = (1000, 5000)


def pull(bench: Bench, rows: int, *, pages: Sequence[int] = PAGES) -> Iterator[Figure]:
    """``rows`` is what the tables were filled to, for the figure's name; they may have a few more."""
    for page in pages:
        yield from _pull(bench, rows, page)


def _pull(bench: Bench, rows: int, page: int) -> Iterator[Figure]:
    rates: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, float] = {}
    pulled: Counter[str] = Counter()
    cpu: dict[str, Counter[str]] = defaultdict(Counter)
    counts = {contender.name: contender.count() for contender in bench.contenders}
    for number in range(bench.plan.rounds + 1):
        for contender in rotated(bench.contenders, number):
            with Meter({"server": contender.pid, "PostgreSQL": bench.cluster.pid}) as meter:
                leg = drive(1, partial(prepare, contender, page))
            result = leg.results[0]
            if result.changes != counts[contender.name]:
                raise SystemExit(f"{contender.name}: {result.changes} rows pulled of {counts[contender.name]}")
            if number == 0:
                continue  # warm-up
            rates[contender.name].append(result.changes / leg.seconds)
            sizes[contender.name] = result.size / result.changes
            pulled[contender.name] += result.changes
            cpu[contender.name].update({**meter.cpu, "client": leg.cpu})
    correct = {contender.name: _correct(contender, page) for contender in bench.watched()}
    for name, values in rates.items():
        yield Figure(
            measure="fresh pull",
            case=f"{rows:,} rows, pages of {page:,}",
            contender=name,
            unit="items/s",
            better="higher",
            rounds=[round(value, 1) for value in values],
            extra={
                "bytes/row": round(sizes[name]),
                **({"correct": correct[name]} if name in correct else {}),
                **{f"{tree} CPU µs/item": round(used / pulled[name] * 1e6, 2) for tree, used in cpu[name].items()},
            },
        )


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
