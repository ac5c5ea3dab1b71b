"""What the office's commands share: a tenant without HTTP, somebody to act as, and printing for people or programs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from cyclopts import Parameter, validators
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
from rich.console import Console
from rich.table import Table

from homing.accounts.users import OWNER
from homing.declare import DeclarationError
from homing.engine.caller import Caller
from homing.postgres.embedded import EmbeddedError, embedded
from homing.postgres.migrations import MigrationError
from homing.protocol.errors import Problem
from homing.server.node import find_entry, open_one
from homing.server.tenant import Tenant
from homing.settings import Settings, SettingsError
from homing.tenants import databases
from homing.tenants.entry import DEFAULT

T = TypeVar("T")

LIMIT_MAX = 10_000
Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=LIMIT_MAX), help="Lines at most.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Server:
    """Which server's databases a command works on."""

    data: Annotated[Path | None, Parameter(help="Folder of the embedded database. HOMING_DATA_DIR.")] = None
    database_url: Annotated[str | None, Parameter(help="Your own PostgreSQL. HOMING_DATABASE_URL.")] = None
    apps: Annotated[str | None, Parameter(help="Applications, separated by commas. HOMING_APPS.")] = None

    def settings(self) -> Settings:
        """The environment's settings with these on top. Raises SettingsError, Problem("invalid_parameter")."""
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))  # an application's module need not be installed: the folder here will do
        given: dict[str, Any] = {"data_dir": self.data, "database_url": self.database_url}
        if self.apps is not None:
            given["apps"] = tuple(name.strip() for name in self.apps.split(",") if name.strip())
        settings = msgspec.structs.replace(
            Settings.read(os.environ), **{name: value for name, value in given.items() if value is not None}
        )
        if settings.database_url is not None:
            databases.check_url(settings.database_url)
        return settings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where(Server):
    """Which tenant's database a command works on."""

    tenant: Annotated[str | None, Parameter(help="A tenant of the server; the default one when not given.")] = None


HERE = Where()

RIGHTS = (
    "Give the user of the database URL this right, or run the command with one who has it: "
    "docs/how-to/connect-your-own-postgresql.md says who needs what.\n"
)


def run(work: Callable[[Tenant], Awaitable[T]], where: Where, *, migrating: bool = False) -> T:
    """Open a tenant, do ``work`` on it, close it. What is wrong is said in one sentence and exits with 1."""

    async def whole() -> T:
        async with open_one(where.settings(), where.tenant, migrating=migrating) as tenant:
            return await work(tenant)

    return reported(lambda: asyncio.run(whole()))


def reported(work: Callable[[], T]) -> T:
    """Errors that a person can act on, as sentences on stderr."""
    try:
        return work()
    except Problem as problem:
        extra = "".join(f"\n  {name}: {value}" for name, value in problem.extra.items() if value is not None)
        sys.stderr.write(f"{problem.code.code}: {problem.detail}{extra}\n")
    except (SettingsError, MigrationError, DeclarationError, EmbeddedError) as error:
        sys.stderr.write(f"{error}\n")
        if isinstance(error.__cause__, InsufficientPrivilege):
            sys.stderr.write(RIGHTS)
    except InsufficientPrivilege as error:
        sys.stderr.write(f"PostgreSQL refuses: {error.diag.message_primary}\n{RIGHTS}")
    except (UndefinedTable, UndefinedColumn) as error:
        sys.stderr.write(f"{error.diag.message_primary}: the database's schema is behind: run `homing migrate`.\n")
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    raise SystemExit(1)


@contextmanager
def address(where: Where) -> Iterator[str]:
    """The connection string of the tenant's database, password and all, for what works on the database alone: a schema
    that is behind must not keep anybody from looking at it. Raises SettingsError, Problem."""
    settings = where.settings()
    with ExitStack() as stack:
        url = settings.database_url or stack.enter_context(embedded(settings.data_dir))
        if where.tenant not in (None, DEFAULT):
            entry = asyncio.run(find_entry(msgspec.structs.replace(settings, database_url=url), str(where.tenant)))
            url = entry.url(url)
        yield url


@asynccontextmanager
async def acting(tenant: Tenant, login: str | None) -> AsyncIterator[Caller]:
    """The user that a command acts as: ``login``, or the first active user of the office. Raises Problem."""
    async with tenant.database.connection() as conn:
        row = await (
            await conn.execute(
                "SELECT id, role FROM homing.users WHERE is_active AND role = %s"
                " AND (%s::text IS NULL OR lower(username) = lower(%s::text)) ORDER BY created_at LIMIT 1",
                [OWNER, login, login],
            )
        ).fetchone()
    if row is None:
        raise Problem("not_found", "No such user of the office; make one with: homing users create --role OWNER")
    user_id: UUID = row[0]
    yield Caller(user_id, row[1], tenant.name, "shell", uuid4(), None, None)


def show(found: Any, *, as_json: bool, columns: Sequence[str] = (), title: str = "") -> None:
    """Print structs: as JSON, or as a table of ``columns`` (a list) or of names and values (one)."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
        return
    table = Table(title=title or None, title_justify="left")
    if isinstance(found, list):
        for column in columns:
            table.add_column(column, overflow="fold")
        for each in found:
            table.add_row(*(_text(getattr(each, column)) for column in columns))
    else:
        table.add_column("")
        table.add_column("", overflow="fold")
        for name in found.__struct_fields__:
            table.add_row(name, _text(getattr(found, name)))
    Console().print(table)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, str | int | float | UUID):
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat(timespec="seconds"))
    return msgspec.json.encode(value).decode()
