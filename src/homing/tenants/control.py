"""The control tables, read and written. Each function is one transaction at most."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from psycopg import conninfo, errors

from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.tenants.entry import DEFAULT, NAME, Entry, Quotas, Status


async def read_version(conn: Connection) -> int:
    """A number that grows with every change of the control tables; 0 where there are none."""
    if await fetch_one(conn, load(__package__, "control_exists")) != (True,):
        return 0
    row = await fetch_one(conn, load(__package__, "read_version"))
    return 0 if row is None else int(row[0])


async def read_all(conn: Connection) -> list[Entry]:
    """Every tenant by name, dropped ones too."""
    return [_entry(row) for row in await fetch_all(conn, load(__package__, "read_entries"), {"name": None})]


async def read(control: Database, name: str) -> Entry:
    """One tenant, unless it was dropped. Raises Problem("not_found")."""
    async with control.connection() as conn:
        row = await fetch_one(conn, load(__package__, "read_entries"), {"name": name})
    if row is None or row[3] == "dropped":
        raise Problem("not_found", f"There is no tenant called {name!r}.")
    return _entry(row)


async def begin(
    control: Database,
    *,
    name: str,
    database_name: str | None,
    database_url: str | None,
    hosts: Sequence[str],
    quotas: Quotas,
) -> Entry:
    """A new tenant, in the state ``creating``, or one whose creation was cut off before.

    Raises Problem: invalid_parameter, already_exists.
    """
    if NAME.fullmatch(name) is None or name == DEFAULT:
        raise Problem(
            "invalid_parameter", "A tenant's name is a-z, 0-9 and -, begins with a letter, and has 40 at most."
        )
    given = {
        "name": name,
        "database_name": database_name,
        "database_url": database_url,
        "quotas": msgspec.json.encode(quotas).decode(),
    }
    try:
        async with control.transaction() as conn:
            if await execute(conn, load(__package__, "insert_entry"), given) == 0:
                raise Problem("already_exists", f"There is a tenant called {name!r} already.")
            await _set_hosts(conn, name, hosts)
    except errors.UniqueViolation:
        raise Problem("already_exists", "Another tenant has this database.") from None
    return await read(control, name)


async def set_hosts(control: Database, name: str, hosts: Sequence[str]) -> None:
    """The host names whose requests are this tenant's. Raises Problem: invalid_parameter, already_exists."""
    async with control.transaction() as conn:
        await _set_hosts(conn, name, hosts)


async def _set_hosts(conn: Connection, name: str, hosts: Sequence[str]) -> None:
    await execute(conn, load(__package__, "delete_hosts"), {"name": name})
    try:
        lower = sorted({host.strip().rstrip(".").lower() for host in hosts})
        await execute(conn, load(__package__, "insert_hosts"), {"name": name, "hosts": lower})
    except errors.UniqueViolation:
        raise Problem("already_exists", "Another tenant has one of these hosts.") from None
    except errors.CheckViolation:
        raise Problem("invalid_parameter", "A host is a name such as field.example.org, without port.") from None


async def set_status(
    control: Database, name: str, status: Status, *, expected: Sequence[Status], reason: str | None = None
) -> Entry:
    """Into another state. Raises Problem: not_found; state_conflict unless it is in one of ``expected``."""
    async with control.transaction() as conn:
        changed = await execute(
            conn,
            load(__package__, "set_status"),
            {"name": name, "status": status, "expected": list(expected), "reason": reason},
        )
        if status == "dropped" and changed:
            await execute(conn, load(__package__, "delete_hosts"), {"name": name})
    if not changed:
        found = await read(control, name)
        raise Problem("state_conflict", f"The tenant {name!r} is {found.status}; {' or '.join(expected)} is needed.")
    async with control.connection() as conn:
        row = await fetch_one(conn, load(__package__, "read_entries"), {"name": name})
    assert row is not None
    return _entry(row)


async def set_place(control: Database, name: str, *, database_name: str | None, database_url: str | None) -> None:
    """Where its database is after a move; it is active again. Raises Problem("state_conflict")."""
    given = {"name": name, "database_name": database_name, "database_url": database_url}
    try:
        async with control.connection() as conn:
            if await execute(conn, load(__package__, "set_place"), given) == 0:
                raise Problem("state_conflict", f"The tenant {name!r} is not being moved any more.")
    except errors.UniqueViolation:
        raise Problem("already_exists", "Another tenant has this database.") from None


async def set_quotas(control: Database, name: str, quotas: Quotas) -> None:
    async with control.connection() as conn:
        text = msgspec.json.encode(quotas).decode()
        await execute(conn, load(__package__, "set_quotas"), {"name": name, "quotas": text})


async def note_migrated(control: Database, name: str, *, version: str) -> None:
    async with control.connection() as conn:
        await execute(conn, load(__package__, "note_migrated"), {"name": name, "version": version})


async def note_error(control: Database, name: str, error: str) -> None:
    async with control.connection() as conn:
        await execute(conn, load(__package__, "note_error"), {"name": name, "error": error})


def database_of(control_url: str, name: str) -> str:
    """What the database of a new tenant is called, on the control database's server."""
    given = conninfo.conninfo_to_dict(control_url)
    return f"{given.get('dbname') or given.get('user') or 'homing'}_{name.replace('-', '_')}"[:63]


def _entry(row: Sequence[object]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["quotas"] = msgspec.json.decode(str(values["quotas"]), type=Quotas)
    values["hosts"] = tuple(values["hosts"])  # type: ignore[arg-type]
    return Entry(**values)  # type: ignore[arg-type]


_COLUMNS = (
    "name",
    "database_name",
    "database_url",
    "status",
    "reason",
    "quotas",
    "schema_version",
    "migrated_at",
    "last_error",
    "created_at",
    "updated_at",
    "hosts",
)
