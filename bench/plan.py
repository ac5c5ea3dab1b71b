"""How much of everything a run does, and what it does it to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bench.cluster import Cluster
from bench.contenders import Contender, Watched
from bench.contenders.homing import Homing
from bench.contenders.raw import Raw
from bench.contenders.thin import Thin

T = TypeVar("T")
BATCH = 50


@dataclass(frozen=True)
class Plan:
    """``small``, ``middle`` and ``large`` are the table sizes that reads are measured at; ``push_items`` are the rows
    one leg of a push creates, by number of clients; ``samples`` are the latencies taken in a round."""

    rounds: int
    push_items: dict[int, int]
    small: int
    middle: int
    large: int | None
    samples: int
    scopes: int
    rows_per_scope: int
    open_transactions: int
    sockets: tuple[int, ...]
    tenants: int
    herd: int


FULL = Plan(
    rounds=5,
    push_items={1: 20_000, 8: 40_000},
    small=10_000,
    middle=100_000,
    large=1_000_000,
    samples=100,
    scopes=10_000,
    rows_per_scope=10,
    open_transactions=200,
    sockets=(1_000, 5_000),
    tenants=1_000,
    herd=2_000,
)
QUICK = Plan(
    rounds=3,
    push_items={1: 4_000, 8: 8_000},
    small=10_000,
    middle=100_000,
    large=None,
    samples=40,
    scopes=1_000,
    rows_per_scope=10,
    open_transactions=200,
    sockets=(1_000,),
    tenants=100,
    herd=1_000,
)


@dataclass(frozen=True)
class Bench:
    """Everything a measure needs. ``seeds`` never repeats, so that no row is made twice in a run."""

    plan: Plan
    cluster: Cluster
    raw: Raw
    contenders: Sequence[Contender]
    homing: Homing | None
    seeds: Iterator[int]

    def watched(self) -> list[Watched]:
        """The contenders that large tables and open transactions are tried on: the slow one would take all day."""
        return [each for each in self.contenders if isinstance(each, Homing | Thin)]

    def without_slow(self) -> Bench:
        return replace(self, contenders=self.watched())


def seeds() -> Iterator[int]:
    return itertools.count(1_000)


def rotated(items: Sequence[T], by: int) -> list[T]:
    """Another one goes first each round: who runs right after a checkpoint or a pause should not be always the same."""
    start = by % len(items)
    return [*items[start:], *items[:start]]
