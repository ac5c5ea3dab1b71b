"""``homing attach``: make the declared tables of a database synced tables."""

from __future__ import annotations

import msgspec

from homing.cli._shell import HERE, Json, Where, run, show
from homing.server.tenant import Tenant


class Attached(msgspec.Struct):
    """A synced table: ``scopes`` are its keys' expressions by scope."""

    table: str
    resource_type: str
    key: str
    columns: list[str]
    scopes: list[str]


def command(where: Where = HERE, *, json: Json = False) -> None:
    """Check the declarations of --apps against the database, and attach every table they name.

    Adds to each table the two stamp columns (version and changed, with constant defaults: nothing is rewritten), the
    triggers that keep them, the history and the departures, and one index a scope. Building an index reads the table
    once and holds writers meanwhile. Doing it again changes nothing. Every mistake in the declarations is reported,
    with its file and line, and then nothing is attached.
    """

    async def work(tenant: Tenant) -> list[Attached]:
        return [
            Attached(
                table.name,
                table.resource_type,
                table.key.name,
                list(table.columns),
                [f"{key.scope}: {key.expression}" for key in table.scope_keys],
            )
            for table in tenant.engine.bound.tables
        ]

    show(run(work, where, migrating=True), as_json=json, columns=("table", "resource_type", "key", "scopes", "columns"))
