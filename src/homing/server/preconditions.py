"""``ETag`` and ``If-Match``: optimistic locking by REST, in HTTP's own words (RFC 9110).

A row's entity tag is its version. An update with ``If-Match`` is applied only on top of exactly that version, whatever
the table's policies would have merged; otherwise 412, with the row as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request

from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.protocol.errors import Problem
from homing.server import writing
from homing.server.answers import RawJson
from homing.server.rows import read_row
from homing.server.tenant import Tenant

_TAG = re.compile(r'(?:W/)?"(\d{1,10})"')


class _Version(msgspec.Struct):
    server_version: int


def tagged(row: msgspec.Raw, *, status: int = 200) -> RawJson:
    """The answer that shows ``row``, which has a member ``server_version``, with its entity tag."""
    version = msgspec.json.decode(row, type=_Version).server_version
    return RawJson(bytes(row), status=status, headers=[(b"etag", b'"%d"' % version)])


def wanted_version(request: Request[Any, Any, Any]) -> int | None:
    """The version that ``If-Match`` names; None without it, and for ``*``. Raises Problem("invalid_parameter")."""
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    found = _TAG.fullmatch(given.strip())
    if found is None or not 0 < int(found[1]) < 2**31:
        raise Problem("invalid_parameter", 'If-Match is the ETag of a row, as "3".')
    return int(found[1])


async def update(
    request: Request[Any, Any, Any],
    tenant: Tenant,
    caller: Caller,
    claims: Claims,
    table: BoundTable,
    row_id: UUID,
    columns: Mapping[str, Any],
) -> None:
    """Change columns of a row, on top of the version that the request names in ``If-Match`` or in a member
    ``server_version``, or whatever it is now. Raises Problem as ``writing.update`` does, and precondition_failed."""
    version = wanted_version(request)
    if version is None:
        await writing.update(tenant.engine, claims, table.declared.full_type, row_id, columns)
        return
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await read_row(conn, table, caller, row_id)
    there = msgspec.json.decode(row, type=_Version).server_version
    if there != version:
        raise Problem("precondition_failed", server_version=there, server_payload=row)
    try:
        # Between the look and the write somebody may have been faster: then the version says so.
        await writing.update(
            tenant.engine,
            claims,
            table.declared.full_type,
            row_id,
            {**columns, "server_version": msgspec.Raw(str(version).encode())},
        )
    except Problem as problem:
        if problem.code.code == "version_conflict":
            raise Problem("precondition_failed", **problem.extra) from problem
        raise
