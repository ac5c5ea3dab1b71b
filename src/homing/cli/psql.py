"""``homing psql``: PostgreSQL's own shell on the server's database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from typing import Annotated

from cyclopts import Parameter
from psycopg.pq import Conninfo

from homing.cli._shell import HERE, Where, address, reported
from homing.postgres.embedded import EmbeddedError, binaries


def command(
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True, help="For psql: -c, -f, -A, …")],
    where: Where = HERE,
) -> None:
    """Open psql on the database that ``homing serve`` with the same options works on, running or not."""
    with ExitStack() as stack:
        url = reported(lambda: stack.enter_context(address(where)))
        # By environment, because everybody on the machine may read a command line and its password.
        found = {each.envvar: each.val for each in Conninfo.parse(url.encode()) if each.envvar and each.val}
        environment = {**os.environ, **{name.decode(): value.decode() for name, value in found.items()}}
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # psql's: it cancels a statement, not the shell
        done = subprocess.run([_program(), *arguments], env=environment, check=False)  # noqa: S603 - psql, no shell
    raise SystemExit(done.returncode)


def _program() -> str:
    try:
        return str(binaries() / "psql")
    except EmbeddedError:
        return shutil.which("psql") or "psql"
