"""How the contractor's week looks on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from homing.cli._demo.crm import Outcome


def show(console: Console, outcome: Outcome) -> None:
    """What each device did, and whether it holds what it should. ``lost``: messages that its line lost."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("device", no_wrap=True)
    for column in ("sent", "merged", "conflict", "refused", "came", "removed", "lost"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("scope", no_wrap=True)
    for each in outcome.devices:
        counts = (each.sent, each.merged, each.conflicts, each.refused, each.received, each.removed, each.lost)
        held = "wiped" if each.wiped else f"{sum(each.rows.values())} equal"
        table.add_row(
            each.device, *map(str, counts), f"[green]{held}[/]" if each.equal else f"[red]{len(each.wrong)} DIFFER[/]"
        )
    console.print(table)
    console.print()
    for sentence in [*outcome.unexplained, *(sentence for each in outcome.devices for sentence in each.wrong)][:20]:
        console.print(f"[red]{sentence}[/red]", highlight=False)
    said = (
        f"{outcome.customers} customers, {outcome.jobs} jobs, {outcome.materials} materials;"
        f" {outcome.entries} entries of the trail, replayed onto nothing, give every row."
    )
    verdict = "Every device equals its scope in the database, row for row." if outcome.ok else "NOT AS IT MUST BE."
    console.print(f"{said}\n[bold {'green' if outcome.ok else 'red'}]{verdict}[/]", highlight=False)
