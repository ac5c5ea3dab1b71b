"""``homing backup``: one tenant's database in one file, proved by restoring it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from homing.cli._shell import HERE, Json, Where, address, reported, show
from homing.tenants import backups
from homing.tenants.backups import Told


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """``checked``: it was restored into a database of its own and is the same to the row. ``media``: where the files
    are that are not in it."""

    file: str
    bytes: int
    taken_at: datetime
    tables: int
    rows: int
    checked: bool
    media: str


def command(
    file: Path,
    where: Where = HERE,
    *,
    check: Annotated[bool, Parameter(negative="--no-check", help="Restore it into a database of its own.")] = True,
    json: Json = False,
) -> None:
    """Dump the database into FILE, in pg_dump's custom format, while it is used.

    FILE.json beside it says how many rows each table had, with digests. Media are not in it: copy their folder after
    the dump, or keep the bucket's versions.
    """

    async def work(url: str) -> BackedUp:
        with telling() as told:
            manifest = await backups.back_up(url, file, told=told)
            if check:
                await backups.check(url, file, told=told)
        settings = where.settings()
        return BackedUp(
            file=str(file),
            bytes=manifest.bytes,
            taken_at=manifest.taken_at,
            tables=len(manifest.tables),
            rows=manifest.rows,
            checked=check,
            media=f"not included: {settings.media_url or settings.data_dir / 'media'}",
        )

    def whole() -> BackedUp:
        with address(where) as url:
            return asyncio.run(work(url))

    show(reported(whole), as_json=json)


@contextmanager
def telling() -> Iterator[Told]:
    """What is being done, on one line of a terminal's standard error; nothing elsewhere."""
    with Console(stderr=True).status("") as status:
        yield status.update
