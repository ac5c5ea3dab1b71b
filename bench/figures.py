"""What a run found, and the ratios that can be read from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass
class Spent:
    """What the legs of one contender took: items and wall seconds, and CPU seconds of its server and of PostgreSQL."""

    legs: list[tuple[int, float, Mapping[str, float]]] = field(default_factory=list)

    def add(self, items: int, seconds: float, cpu: Mapping[str, float]) -> None:
        self.legs.append((items, seconds, cpu))

    def rate(self, measure: str, case: str, contender: str, extra: dict[str, Any], *, unit: str = "items/s") -> Figure:
        rounds = [round(items / seconds, 1) for items, seconds, _ in self.legs]
        return Figure(
            measure=measure, case=case, contender=contender, unit=unit, better="higher", rounds=rounds, extra=extra
        )

    def cpu(self, measure: str, case: str, contender: str, *, unit: str = "µs/item") -> Figure:
        """All CPU time of server and PostgreSQL: what a neighbour on the machine disturbs least."""
        all_items = sum(items for items, _, _ in self.legs)
        parts = {name: sum(cpu[name] for _, _, cpu in self.legs) for name in self.legs[0][2]}
        return Figure(
            measure=f"CPU of {measure}",
            case=case,
            contender=contender,
            unit=unit,
            better="lower",
            rounds=[round(sum(cpu.values()) / items * 1e6, 2) for items, _, cpu in self.legs],
            extra={name: round(used / all_items * 1e6, 2) for name, used in parts.items()},
        )


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
