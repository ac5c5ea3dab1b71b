"""How the season looks on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from homing.cli._demo import conversation
from homing.cli._demo.season import Outcome, Tell


@contextmanager
def told(
    console: Console, played: str = "season", steps: str = "days"
) -> Iterator[tuple[Tell, Callable[[int, int], None]]]:
    """Tells what happens above a bar of what is played, in its ``steps``."""
    with Progress(
        SpinnerColumn(),
        TextColumn(f"the {played}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(steps),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task(played, total=None)
        yield (
            lambda sentence: progress.console.print(f"[green]•[/green] {sentence}", highlight=False),
            lambda done, total: progress.update(task, completed=done, total=total),
        )


def show(console: Console, outcome: Outcome) -> None:
    """What each device did, and whether it holds what it should. ``lost``: messages that its line lost."""
    # 80 columns, as every terminal has.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("device", no_wrap=True)
    for column in ("sent", "merged", "conflict", "refused", "came", "removed", "photos", "lost"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("scope", no_wrap=True)
    for each in outcome.devices:
        counts = (each.sent, each.merged, each.conflicts, each.refused, each.received, each.removed, each.photos)
        held = "wiped" if each.wiped else f"{sum(each.rows.values())} equal"
        table.add_row(
            each.device,
            *map(str, counts),
            str(each.requests_lost + each.answers_lost),
            f"[green]{held}[/]" if each.equal else f"[red]{len(each.wrong)} DIFFER[/]",
        )
    console.print(table)
    console.print()
    for each in outcome.devices:
        for sentence in each.wrong[:10]:
            console.print(f"[red]{each.device}: {sentence}[/red]", highlight=False)
    said = (
        f"{outcome.observations} penguins observed, {outcome.stored} stored, each once;"
        f" {outcome.lost_messages} messages lost on the way."
    )
    verdict = "Every replica equals its scope in the database, row for row." if outcome.ok else "NOT EQUAL."
    console.print(f"{said}\n[bold {'green' if outcome.ok else 'red'}]{verdict}[/]", highlight=False)


def show_conversation(console: Console, outcome: conversation.Outcome) -> None:
    """What each phone did, and whether it holds what it should. ``lost``: messages that its line lost."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("phone", no_wrap=True)
    for column in ("clock", "syncs", "wrote", "read", "lost"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("scope", no_wrap=True)
    for each in outcome.phones:
        held = "wiped" if each.wiped else f"{sum(each.rows.values())} equal"
        table.add_row(
            each.phone,
            f"{each.clock_hours:+.2f} h",
            *map(str, (each.syncs, each.wrote, each.read, each.requests_lost + each.answers_lost)),
            f"[green]{held}[/]" if each.equal else f"[red]{len(each.wrong)} DIFFER[/]",
        )
    console.print(table)
    console.print()
    for sentence in [*outcome.wrong, *(sentence for each in outcome.phones for sentence in each.wrong)][:20]:
        console.print(f"[red]{sentence}[/red]", highlight=False)
    said = (
        f"{outcome.written} messages meant, {outcome.stored} stored, each once and in its sender's order;"
        f" {outcome.read} read; {outcome.lost_messages} requests and answers lost on the way."
    )
    verdict = "Every phone equals its scope in the database, row for row." if outcome.ok else "NOT AS IT MUST BE."
    console.print(f"{said}\n[bold {'green' if outcome.ok else 'red'}]{verdict}[/]", highlight=False)
