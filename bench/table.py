"""A run as Markdown: the machine, one table of figures with ratios, the goals, and what explains the figures."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, Run, ratio
from bench.goals import goals

EXTRAS_SHOWN = {"p99 ms"}


def render(run: Run) -> str:
    return "\n".join([*_machine(run), "", *_figures(run), "", *_goals(run), "", *_details(run)])


def _machine(run: Run) -> Iterator[str]:
    for name, value in run.machine.items():
        yield f"- {name}: {value}"


def _figures(run: Run) -> Iterator[str]:
    names = list(dict.fromkeys(figure.contender for figure in run.figures))
    yield "| measure | case | unit | " + " | ".join(names) + " | homing / raw | homing / thin | homing / kinto |"
    yield "| --- | --- | --- |" + " ---: |" * (len(names) + 3)
    for (measure, case, unit), cells in _rows(run).items():
        values = [_value(cells[name]) if name in cells else "" for name in names]
        ratios = [_ratio(cells, reference) for reference in ("raw", "thin", "kinto")]
        yield f"| {measure} | {case} | {unit} | " + " | ".join([*values, *ratios]) + " |"


def _rows(run: Run) -> dict[tuple[str, str, str], dict[str, Figure]]:
    rows: dict[tuple[str, str, str], dict[str, Figure]] = {}
    for figure in run.figures:
        rows.setdefault((figure.measure, figure.case, figure.unit), {})[figure.contender] = figure
    return rows


def _value(figure: Figure) -> str:
    shown = f"{number(figure.median)}"
    for name in EXTRAS_SHOWN & figure.extra.keys():
        shown += f" ({name.split()[0]} {number(figure.extra[name])})"
    return shown


def _ratio(cells: dict[str, Figure], reference: str) -> str:
    if "homing" not in cells or reference not in cells:
        return ""
    return f"{ratio(cells['homing'], cells[reference]):.3g}"


def _goals(run: Run) -> Iterator[str]:
    yield "| goal | wanted | found | |"
    yield "| --- | --- | --- | --- |"
    for goal in goals(run):
        yield f"| {goal.what} | {goal.wanted} | {goal.found} | {'met' if goal.met else 'missed'} |"


def _details(run: Run) -> Iterator[str]:
    yield "| measure | case | contender | rounds | details |"
    yield "| --- | --- | --- | --- | --- |"
    for figure in run.figures:
        rounds = ", ".join(number(value) for value in figure.rounds)
        details = ", ".join(f"{name} {_shown(value)}" for name, value in figure.extra.items())
        yield f"| {figure.measure} | {figure.case} | {figure.contender} | {rounds} | {details} |"


def _shown(value: object) -> str:
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def number(value: float) -> str:
    """Three digits are more than the machine's noise allows."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
