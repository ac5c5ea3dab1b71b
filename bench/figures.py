"""What a run found, and the ratios that can be read from it."""

from __future__ import annotations

import statistics
from typing import Any, Literal

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of one contender: the median of ``rounds``. ``extra`` holds what explains it (CPU, sizes, checks)."""

    measure: str
    case: str
    contender: str
    unit: str
    better: Literal["higher", "lower"]
    rounds: list[float]
    extra: dict[str, Any] = {}

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run as it is written to JSON. ``machine`` says on what and under which settings."""

    machine: dict[str, Any]
    figures: list[Figure]


def ratio(figure: Figure, reference: Figure) -> float:
    """``figure`` as a multiple of ``reference``: the median of the ratios within each round where both ran in the same
    rounds, so that a noisy minute hits both sides of a fraction; else of the medians."""
    if len(figure.rounds) == len(reference.rounds):
        pairs = zip(figure.rounds, reference.rounds, strict=True)
        return statistics.median(mine / other if other else float("inf") for mine, other in pairs)
    return figure.median / reference.median if reference.median else float("inf")


def quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def milliseconds(seconds: list[float], part: float) -> float:
    return round(quantile(seconds, part) * 1000, 3)
