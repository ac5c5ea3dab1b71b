"""What the figures were meant to reach, and whether they did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import Figure, Run, ratio


@dataclass(frozen=True)
class Goal:
    what: str
    wanted: str
    found: str
    met: bool


def goals(run: Run) -> Iterator[Goal]:
    """Every goal whose figures are in the run."""
    found = {(figure.measure, figure.case, figure.contender): figure for figure in run.figures}
    for clients in ("1 client", "8 clients"):
        for reference, least in (("thin", 0.5), ("raw", 0.25), ("kinto", 100.0)):
            yield from _at_least(found, "push", clients, reference, least)
    for measure, case, contender in found:
        if measure == "fresh pull" and contender == "homing":
            yield from _at_least(found, measure, case, "thin", 0.5)
    for measure in ("delta of one row", "empty delta"):
        for case in [case for name, case, contender in found if name == measure and contender == "homing"]:
            yield from _at_most(found, measure, case, "thin", 2.5)
        yield from _no_growth(run, measure)
    yield from _no_growth(run, "crm: a worker's daily delta")
    for case in ("the row, one node", "the row, two nodes"):
        yield from _at_most(found, "live arrival", case, "thin", 2)
    yield from _live(run)
    for figure in run.figures:
        if figure.measure == "crm query":
            slowest = float(figure.extra["p99 ms"])
            yield Goal(f"{figure.measure}, {figure.case}, p99", "< 20 ms", f"{slowest:.2f} ms", slowest < 20)
        if figure.measure.startswith("console: ") and "report" not in figure.measure:
            yield Goal(f"{figure.measure}, p50", "< 100 ms", f"{figure.median:.1f} ms", figure.median < 100)
        if figure.measure.startswith("limits: ") and figure.case in ("one node", "two nodes"):
            most = 0.6 if figure.case == "two nodes" else 0.2
            what = f"{figure.measure}, {figure.case}, p50"
            yield Goal(what, f"< {most:g} ms", f"{figure.median:.3g} ms", figure.median < most)
        if figure.measure == "memory" and figure.contender == "homing":
            held = figure.median
            yield Goal("memory of the server", "< 150 MiB RSS", f"{held:.0f} MiB", held < 150)
        if figure.contender == "homing" and "correct" in figure.extra:
            right = bool(figure.extra["correct"])
            yield Goal(
                f"{figure.measure}, {figure.case}", "equal to the database", "equal" if right else "NOT equal", right
            )


def _live(run: Run) -> Iterator[Goal]:
    """Goals of live delivery that need no reference."""
    for figure in run.figures:
        what, found = f"{figure.measure}, {figure.case}", figure.median
        match figure.measure:
            case "live broadcast":
                yield Goal(what, "≥ 60,000 messages/s", f"{found:,.0f}", found >= 60_000)
            case "live sockets, memory":
                wrong = int(figure.extra["errors"])
                yield Goal(f"live sockets, {figure.case}", "open, no error", f"{wrong} errors", wrong == 0)
            case "live herd":
                wrong = int(figure.extra["errors"])
                shown = f"{max(figure.rounds):.1f} s, {wrong} errors"
                yield Goal(what, "≤ 60 s, no error", shown, max(figure.rounds) <= 60 and wrong == 0)


def _at_least(
    found: dict[tuple[str, str, str], Figure], measure: str, case: str, reference: str, least: float
) -> Iterator[Goal]:
    mine, other = found.get((measure, case, "homing")), found.get((measure, case, reference))
    if mine and other:
        reached = ratio(mine, other)
        yield Goal(f"{measure}, {case}", f"≥ {least:g} × {reference}", f"{reached:.3g}", reached >= least)


def _at_most(
    found: dict[tuple[str, str, str], Figure], measure: str, case: str, reference: str, most: float
) -> Iterator[Goal]:
    mine, other = found.get((measure, case, "homing")), found.get((measure, case, reference))
    if mine and other:
        reached = ratio(mine, other)
        yield Goal(f"{measure} {case}, p50", f"≤ {most:g} × {reference}", f"{reached:.3g}", reached <= most)


def _no_growth(run: Run, measure: str) -> Iterator[Goal]:
    """From the smallest to the largest table: half as much again would be growth, less is the machine's noise."""
    mine = [figure for figure in run.figures if figure.measure == measure and figure.contender == "homing"]
    mine = [figure for figure in mine if figure.case.startswith("among ")]
    if len(mine) > 1:
        grown = mine[-1].median / mine[0].median
        yield Goal(f"{measure}, {mine[0].case} → {mine[-1].case}", "no growth (≤ 1.5)", f"{grown:.3g}", grown <= 1.5)
