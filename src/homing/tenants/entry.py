"""What is known of a tenant before its database is opened."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from psycopg import conninfo

DEFAULT = "default"
"""The tenant whose database is the control database. It has no entry, and is always there."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

Status = Literal["creating", "active", "suspended", "moving", "dropped"]
"""``creating`` and ``dropped`` ones are not there for clients; ``moving`` ones are back soon."""

Most = Annotated[int, Meta(ge=0, lt=2**53)]


class Quotas(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How much a tenant may have; None is as much as there is room for."""

    users: Most | None = None
    """Active ones."""
    devices: Most | None = None
    """Registered ones that are not revoked."""
    rows: Most | None = None
    """Rows of synced tables, as PostgreSQL's statistics count them."""
    media_bytes: Most | None = None
    """Bytes of files, of those begun as much as was promised."""
    pushes_per_minute: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    """At one node, over a minute; a burst of as many at once passes."""


UNLIMITED = Quotas()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the control table. One of ``database_name`` (on the control database's server) and ``database_url``."""

    name: str
    database_name: str | None
    database_url: str | None
    status: Status
    reason: str | None = None
    quotas: Quotas = UNLIMITED
    schema_version: str | None = None
    migrated_at: datetime | None = None
    last_error: str | None = None
    created_at: datetime
    updated_at: datetime
    hosts: tuple[str, ...] = ()

    def url(self, control_url: str) -> str:
        """The address of its database, password and all: for connecting, never for showing."""
        if self.database_url is not None:
            return self.database_url
        return conninfo.make_conninfo(control_url, dbname=self.database_name)

    @property
    def place(self) -> str:
        """Where its database is, as it may be shown."""
        return self.database_name if self.database_url is None else masked(self.database_url)  # type: ignore[return-value]


def masked(url: str) -> str:
    """A connection string without its password."""
    given = conninfo.conninfo_to_dict(url)
    shown = {name: value for name, value in given.items() if name not in ("password", "sslpassword")}
    return conninfo.make_conninfo("", **shown)
