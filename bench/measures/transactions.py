"""What happens while 200 other connections hold a write transaction open, each with a row of its own not yet committed.

A feed of positions has to wait for the oldest of them; a feed of snapshots does not. Then they end in random order,
half of them rolled back, while the device goes on pulling: in the end it holds what the database holds, row for row.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg

from bench.contenders import Client, Watched, pull
from bench.figures import Figure, milliseconds
from bench.plan import Bench
from bench.rows import rows

PAGE = 1000
ENDED_BETWEEN_PULLS = 20


def transactions(bench: Bench) -> Iterator[Figure]:
    for contender in bench.watched():
        yield from _transactions(bench, contender)


def _transactions(bench: Bench, contender: Watched) -> Iterator[Figure]:
    count = bench.plan.open_transactions
    writer, reader = contender.client(0), contender.client(1)
    held: dict[str, int] = {}
    token = pull(reader, None, 5000, held=held).token
    with ExitStack() as stack:
        open_ones: list[psycopg.Connection[Any]] = []
        for row in rows(count, seed=next(bench.seeds)):
            connection = stack.enter_context(psycopg.connect(contender.url))
            contender.insert(connection, row)
            open_ones.append(connection)
        seconds, at_once, token = _exchange(bench, writer, reader, token, held)
        size = len(token or "")
        token = _end_all(open_ones, reader, token, held, seed=next(bench.seeds))
    pull(reader, token, PAGE, held=held)
    correct = held == contender.rows()
    writer.close()
    reader.close()
    for case, values in seconds.items():
        yield Figure(
            measure=f"{count} open transactions",
            case=case,
            contender=contender.name,
            unit="ms p50",
            better="lower",
            rounds=[milliseconds(values, 0.5)],
            extra={
                "p99 ms": milliseconds(values, 0.99),
                "rows seen at once": f"{at_once} of {len(values)}",
                "token bytes": size,
                "correct": correct,
            },
        )


def _exchange(
    bench: Bench, writer: Client, reader: Client, token: str | None, held: dict[str, int]
) -> tuple[dict[str, list[float]], int, str | None]:
    """One write, the delta after it and an empty one, again and again; how many writes the very next delta brought."""
    seconds: dict[str, list[float]] = {"write of one row": [], "delta after it": [], "empty delta": []}
    at_once = 0
    for row in rows(bench.plan.samples, seed=next(bench.seeds)):
        before = len(held)
        start = time.perf_counter()
        writer.write(row)
        seconds["write of one row"].append(time.perf_counter() - start)
        for case in ("delta after it", "empty delta"):
            start = time.perf_counter()
            token = pull(reader, token, PAGE, held=held).token
            seconds[case].append(time.perf_counter() - start)
        at_once += len(held) > before
    return seconds, at_once, token


def _end_all(
    open_ones: list[psycopg.Connection[Any]], reader: Client, token: str | None, held: dict[str, int], *, seed: int
) -> str | None:
    source = random.Random(seed)
    for ended, connection in enumerate(source.sample(open_ones, len(open_ones)), 1):
        if ended % 2:
            connection.commit()
        else:
            connection.rollback()
        if ended % ENDED_BETWEEN_PULLS == 0:
            token = pull(reader, token, PAGE, held=held).token
    return token
