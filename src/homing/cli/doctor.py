"""``homing doctor``: what is wrong with a server's database, or soon will be, and what to do about it."""

from __future__ import annotations

import asyncio
import sys

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from homing.cli._shell import HERE, Json, Where
from homing.declare import DeclarationError
from homing.postgres.migrations import MigrationError
from homing.protocol.errors import Problem
from homing.server.doctor import Diagnosis, Finding, examine
from homing.server.node import open_one
from homing.settings import SettingsError

CODES = {"ok": 0, "warn": 0, "fail": 1}
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def command(where: Where = HERE, *, json: Json = False, strict: bool = False) -> None:
    """Look at everything and change nothing. Exits with 1 where something failed.

    Parameters
    ----------
    strict
        Exit with 1 for warnings too.
    """
    diagnosis = asyncio.run(_examine(where))
    if json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(diagnosis)).decode() + "\n")
    else:
        _show(diagnosis)
    raise SystemExit(1 if strict and diagnosis.state == "warn" else CODES[diagnosis.state])


async def _examine(where: Where) -> Diagnosis:
    """The diagnosis; where the server could not even be opened, why not."""
    try:
        async with open_one(where.settings(), where.tenant, migrating=False) as tenant:
            return await examine(tenant)
    except (Problem, SettingsError, MigrationError, DeclarationError, psycopg.Error) as error:
        said = error.detail if isinstance(error, Problem) else str(error)
        todo = "Run homing migrate if the schema is behind; otherwise see that the database can be reached."
        finding = Finding(check="start", state="fail", found=said, todo=todo)
        return Diagnosis(state="fail", counts={}, findings=[finding])


def _show(diagnosis: Diagnosis) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("", "check", "found"):
        table.add_column(column)
    for finding in diagnosis.findings:
        colour = COLOURS[finding.state]
        todo = f"\n[{colour}]{finding.todo}[/]" if finding.todo else ""
        table.add_row(f"[{colour}]{finding.state}[/]", finding.check, finding.found + todo)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{name} {number}" for name, number in diagnosis.counts.items()), highlight=False)
