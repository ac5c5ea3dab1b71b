"""What a device waits when one row changed, when nothing changed, and for a single write of its own.

One sample of every contender in turn, so that a pause of the machine hits all of them and not one contender's block.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from bench.contenders import Client, Contender, pull
from bench.figures import Figure, Spent, milliseconds
from bench.load import drive
from bench.meter import Meter
from bench.plan import Bench, rotated
from bench.rows import Row, rows

CASES = ("write of one row", "delta of one row", "empty delta")
PAGE = 1000
CROWD = 8


@dataclass
class _Pair:
    """A device that writes and another one that reads, of one contender."""

    name: str
    writer: Client
    reader: Client
    token: str | None
    seconds: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})


def delta(bench: Bench, size: int) -> Iterator[Figure]:
    pairs = []
    for contender in bench.contenders:
        reader = contender.client(1)
        pairs.append(_Pair(contender.name, contender.client(0), reader, pull(reader, None, 5000).token))
    p50: dict[tuple[str, str], list[float]] = defaultdict(list)
    every: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(bench.plan.rounds + 1):
        for pair in pairs:
            pair.seconds = {case: [] for case in CASES}
        for sample, row in enumerate(rows(bench.plan.samples, seed=next(bench.seeds))):
            for pair in rotated(pairs, sample):
                _sample(pair, row)
        if number == 0:
            continue  # warm-up
        for pair in pairs:
            for case in CASES:
                p50[pair.name, case].append(milliseconds(pair.seconds[case], 0.5))
                every[pair.name, case] += pair.seconds[case]
    for pair in pairs:
        pair.writer.close()
        pair.reader.close()
    for (name, case), values in p50.items():
        yield Figure(
            measure=case,
            case=f"among {size:,}",
            contender=name,
            unit="ms p50",
            better="lower",
            rounds=values,
            extra={"p99 ms": milliseconds(every[name, case], 0.99), "samples": len(every[name, case])},
        )


def _sample(pair: _Pair, row: Row) -> None:
    start = time.perf_counter()
    pair.writer.write(row)
    written = time.perf_counter()
    one = pair.reader.page(pair.token, PAGE)
    received = time.perf_counter()
    none = pair.reader.page(one.token, PAGE)
    end = time.perf_counter()
    if (one.changes, none.changes) != (1, 0):
        raise SystemExit(f"{pair.name}: deltas of {one.changes} and {none.changes} rows after one write, not 1 and 0")
    pair.token = none.token
    for case, seconds in zip(CASES, (written - start, received - written, end - received), strict=True):
        pair.seconds[case].append(seconds)


def crowd(bench: Bench, size: int) -> Iterator[Figure]:
    """Empty deltas a second with eight devices asking at once."""
    case = f"{CROWD} clients, among {size:,}"
    spent = {contender.name: Spent() for contender in bench.contenders}
    tokens = {contender.name: pull(contender.client(0), None, 5000).token for contender in bench.contenders}
    for number in range(bench.plan.rounds):
        for contender in rotated(bench.contenders, number):
            asks = max(10, int(bench.plan.samples * 5 * contender.share))
            with Meter({"server": contender.pid, "PostgreSQL": bench.cluster.pid}) as meter:
                leg = drive(CROWD, partial(_prepare_crowd, contender, tokens[contender.name], asks))
            spent[contender.name].add(CROWD * asks, leg.seconds, meter.cpu)
    for name, each in spent.items():
        yield each.rate("empty deltas", case, name, {}, unit="requests/s")
    for name, each in spent.items():
        yield each.cpu("empty deltas", case, name, unit="µs/request")


def _prepare_crowd(contender: Contender, token: str | None, asks: int, number: int) -> Callable[[], None]:
    client = contender.client(number)

    def run() -> None:
        for _ in range(asks):
            client.page(token, PAGE)

    return run
