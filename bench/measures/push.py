"""How many new rows a second get in, durably, in batches of 50: one client, then eight, each a device of its own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from bench.contenders import Contender
from bench.contenders.raw import Raw
from bench.figures import Figure, Spent, milliseconds
from bench.load import drive
from bench.meter import Meter
from bench.plan import BATCH, Bench, rotated
from bench.rows import chunks, rows


def push(bench: Bench) -> Iterator[Figure]:
    for clients in bench.plan.push_items:
        yield from _push(bench, clients)


def _push(bench: Bench, clients: int) -> Iterator[Figure]:
    case = f"{clients} client{'s' if clients > 1 else ''}"
    contenders: list[Raw | Contender] = [bench.raw, *bench.contenders]
    spent = {contender.name: Spent() for contender in contenders}
    times: dict[str, list[float]] = defaultdict(list)
    for contender in contenders:
        _leg(bench, contender, clients, bench.plan.push_items[clients] // 10)  # warm-up: pools, prepared statements
    for number in range(bench.plan.rounds):
        bench.cluster.checkpoint()
        for contender in rotated(contenders, number):
            items, seconds, cpu, batches = _leg(bench, contender, clients, bench.plan.push_items[clients])
            spent[contender.name].add(items, seconds, cpu)
            times[contender.name] += batches
    for name, each in spent.items():
        extra = {"batch p50 ms": milliseconds(times[name], 0.5), "batch p99 ms": milliseconds(times[name], 0.99)}
        yield each.rate("push", case, name, extra)
    for name, each in spent.items():
        yield each.cpu("push", case, name)


def _leg(
    bench: Bench, contender: Raw | Contender, clients: int, items: int
) -> tuple[int, float, dict[str, float], list[float]]:
    """Items pushed, wall seconds, CPU seconds by process tree, and the seconds of each batch."""
    roots = {"PostgreSQL": bench.cluster.pid}
    seeds = [next(bench.seeds) for _ in range(clients)]
    if isinstance(contender, Raw):
        each = items // clients
        pusher = partial(_prepare_raw, contender, seeds, each)
    else:
        each = max(BATCH, int(items * contender.share) // clients)
        pusher = partial(prepare, contender, seeds, each)
        roots["server"] = contender.pid
    with Meter(roots) as meter:
        leg = drive(clients, pusher)
    return each * clients, leg.seconds, meter.cpu, [seconds for times in leg.results for seconds in times]


def _prepare_raw(raw: Raw, seeds: list[int], items: int, number: int) -> Callable[[], list[float]]:
    return raw.pusher(seed=seeds[number], items=items, batch=BATCH)


def prepare(contender: Contender, seeds: list[int], items: int, number: int) -> Callable[[], list[float]]:
    """Encode the batches of client ``number``; the function returned sends them and gives each one's seconds."""
    client = contender.client(number)
    batches = [(client.encode(part), len(part)) for part in chunks(rows(items, seed=seeds[number]), BATCH)]

    def run() -> list[float]:
        times = []
        for body, count in batches:
            start = time.perf_counter()
            client.push(body, count)
            times.append(time.perf_counter() - start)
        return times

    return run
