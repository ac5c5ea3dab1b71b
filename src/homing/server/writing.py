"""Writing by REST what also syncs: one item, through push itself, so that rights, checks, policies and history are the
same whichever way a change comes.

The batch is all-or-nothing: somebody at a screen sees at once that a colleague was faster and can look again, so the
conflict is the answer (409) and no case for the office.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.push import push
from homing.protocol.errors import Problem
from homing.protocol.messages import PushRequest

Columns = dict[str, msgspec.Raw]
"""A body that is a row, or part of one: column → value. Push itself knows the columns and refuses what is none."""

_version = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, lt=2**31)])


async def create(engine: Engine, claims: Claims, resource_type: str, columns: Mapping[str, Any]) -> UUID:
    """Create a row; its id. Raises Problem as ``_write`` does."""
    return await _write(engine, claims, {"resource_type": resource_type, "action": "create", "payload": columns})


async def update(engine: Engine, claims: Claims, resource_type: str, row_id: UUID, columns: Mapping[str, Any]) -> None:
    """Change columns of a row. With a member ``server_version``, only on top of that version; without, whatever the row
    is now. Raises Problem as ``_write`` does."""
    payload = {**columns, "id": str(row_id)}
    base: dict[str, Any] = {"none": True}
    if "server_version" in payload:
        try:
            base = {"version": _version.decode(payload.pop("server_version"))}
        except msgspec.ValidationError as error:
            raise Problem("invalid_envelope", f"server_version: {error}", path="/server_version") from error
    item = {"resource_type": resource_type, "action": "update", "payload": payload, "base": base}
    await _write(engine, claims, item)


async def delete(engine: Engine, claims: Claims, resource_type: str, row_id: UUID) -> None:
    """Delete a row, whatever it is now; of a table with soft deletes, mark it. Raises Problem as ``_write`` does."""
    item = {"resource_type": resource_type, "action": "delete", "payload": {"id": str(row_id)}, "base": {"none": True}}
    await _write(engine, claims, item)


async def _write(engine: Engine, claims: Claims, item: Mapping[str, Any]) -> UUID:
    """Push one item. Raises Problem with the code of its result (422 where the catalogue gives no status)."""
    answer = await push(engine, claims, PushRequest(items=[msgspec.Raw(msgspec.json.encode(item))], atomic=True))
    (result,) = answer.results
    if result.status == "ok" and result.server_id is not None:
        return UUID(result.server_id)
    code = {"exists": "already_exists", "unique": "already_exists"}.get(result.code or "", result.code or "internal")
    more: dict[str, Any] = {}
    if result.path is not None:
        more["path"] = result.path
    if result.server_payload is not None:
        more["server_payload"] = result.server_payload
        more["server_version"] = result.server_version
    raise Problem(code, result.error or "", **more)
