"""How the marketplace's days look on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from homing.cli._demo.market import Outcome


def show(console: Console, outcome: Outcome) -> None:
    """What each device did, and whether it holds what it should; then the specification's metrics."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("device", no_wrap=True)
    for column in ("sent", "merged", "conflict", "refused", "came", "removed", "lost"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("scope", no_wrap=True)
    for each in outcome.devices:
        counts = (each.sent, each.merged, each.conflicts, each.refused, each.received, each.removed, each.lost)
        held = f"[green]{sum(each.rows.values())} equal[/]" if each.equal else f"[red]{len(each.wrong)} DIFFER[/]"
        table.add_row(each.device, *map(str, counts), held)
    console.print(table)
    console.print()
    if outcome.metrics:
        head, *lines = outcome.metrics
        metrics = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        metrics.add_column(head[0], no_wrap=True)
        for column in head[1:]:
            metrics.add_column(column, justify="right", no_wrap=True)
        for line in lines:
            metrics.add_row(*line)
        console.print(metrics)
        console.print()
    for sentence in [sentence for each in outcome.devices for sentence in each.wrong][:20]:
        console.print(f"[red]{sentence}[/red]", highlight=False)
    said = (
        f"{outcome.jobs} jobs, {outcome.proposals} proposals, {outcome.decided} decided by the office;"
        f" {outcome.earned / 100:.2f} USD earned, once;"
        f" {sum(outcome.shown.values())} notifications decrypted by browsers."
    )
    verdict = "Every device equals its scope in the database, row for row." if outcome.ok else "NOT AS IT MUST BE."
    console.print(f"{said}\n[bold {'green' if outcome.ok else 'red'}]{verdict}[/]", highlight=False)
