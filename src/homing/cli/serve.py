"""``homing serve``: the server."""

from __future__ import annotations

import msgspec

from homing.cli._shell import Server, reported
from homing.server import serve

SERVER = Server()


def command(where: Server = SERVER, *, host: str | None = None, port: int | None = None, migrate: bool = True) -> None:
    """Serve the API.

    Parameters
    ----------
    host
        Address to listen on. HOMING_HOST.
    port
        Port to listen on. HOMING_PORT.
    migrate
        Bring the schema of the default tenant up to date first. Of the others: HOMING_MIGRATE_TENANTS, or
        homing tenants migrate.
    """

    def serving() -> None:
        given = {"host": host, "port": port}
        settings = msgspec.structs.replace(
            where.settings(), **{name: value for name, value in given.items() if value is not None}
        )
        serve.run(settings, migrating=migrate)

    reported(serving)
