"""Writing a row from a page: one item, through push itself, as REST does (``server/writing.py``), with the outcome as a
value, because a page shows a conflict beside what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.push import push
from homing.engine.tables import BoundTable
from homing.engine.values import read_row
from homing.protocol.messages import PushRequest


@dataclass(frozen=True, slots=True)
class Saved:
    """``merged``: somebody else had changed other fields of the row meanwhile; both changes are in it."""

    key: str
    version: int
    merged: bool


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else changed the same meanwhile: the row as it is now."""

    version: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """``field``: the column that the refusal is about, where it is about one."""

    code: str
    sentence: str
    field: str | None


Outcome: TypeAlias = Saved | Overtaken | Refused


async def write(
    engine: Engine,
    claims: Claims,
    table: BoundTable,
    action: Literal["create", "update", "delete"],
    columns: Mapping[str, Any],
    *,
    key: str | None = None,
    version: int | None = None,
) -> Outcome:
    """Write one row: ``columns`` of the row ``key``, on top of ``version``."""
    payload = {**columns} if key is None else {**columns, table.key.name if action == "create" else "id": key}
    item: dict[str, Any] = {"resource_type": table.resource_type, "action": action, "payload": payload}
    if version is not None:
        item["base"] = {"version": version}
    answer = await push(engine, claims, PushRequest(items=[msgspec.Raw(msgspec.json.encode(item))], atomic=True))
    (result,) = answer.results
    if result.status == "ok":
        assert result.server_id is not None
        return Saved(result.server_id, result.server_version or 0, result.merged)
    if result.server_payload is not None and result.server_version is not None and action == "update":
        return Overtaken(result.server_version, read_row(bytes(result.server_payload).decode()))
    field = (result.path or "").split("/")[1:2]
    return Refused(result.code or "internal", result.error or "The row was not written.", field[0] if field else None)
