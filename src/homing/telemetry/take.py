"""``POST /telemetry``: one batch from a device, once, however often it is sent: what it measured, and what was done."""

from __future__ import annotations

from uuid import UUID, uuid4

import msgspec

from homing.engine.caller import Caller
from homing.postgres.database import Database
from homing.postgres.sql import fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.telemetry.events import Event, keep_events, known_events
from homing.telemetry.metrics import Metric, body_hash, checked, write_time


class TelemetryRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``batch_id`` makes sending again safe: the same id of the same device counts once. ``events`` are as in
    ``POST /mobile/analytics/events``, which takes them one by one; here they are taken with their batch, or not."""

    metrics: list[Metric] = []
    events: list[Event] = []
    batch_id: UUID | None = None


class TelemetryAnswer(msgspec.Struct, kw_only=True):
    """The same for the first and every repeated sending."""

    id: str
    accepted: int
    received_at: str


async def take(
    db: Database, *, caller: Caller, request: TelemetryRequest, metrics_max: int, events_max: int
) -> TelemetryAnswer:
    """Store the batch.

    Raises Problem: device_unknown for a caller without a device, too_many_items, invalid_envelope,
    reused_with_other_body where the ``batch_id`` was used for other metrics.
    """
    if caller.device_id is None:
        raise Problem("device_unknown")
    if not request.metrics and not request.events:
        raise Problem("invalid_envelope", "metrics: a batch has at least one.", path="/metrics")
    canonical = checked(request.metrics, metrics_max=metrics_max)
    events = known_events(request.events, events_max=events_max)
    batch = {
        "id": request.batch_id or uuid4(),
        "device_id": caller.device_id,
        "metrics": canonical.decode(),
        "body_hash": body_hash(canonical + b"".join(known.key.bytes for known in events)),
    }
    async with db.transaction(actor=str(caller.user_id), device=caller.device_id) as conn:
        taken = await fetch_one(conn, load("homing.telemetry", "take_batch"), batch)
        if taken is None:
            # The other sending has committed: claiming waited for it.
            id_, created_at, known = (await fetch_all(conn, load("homing.telemetry", "read_batch"), batch))[0]
            if known != batch["body_hash"]:
                raise Problem("reused_with_other_body")
        else:
            id_, created_at = taken
            await keep_events(conn, caller=caller, events=events)
    return _answer(id_, len(request.metrics) + len(request.events), write_time(created_at))


def _answer(id_: UUID, accepted: int, received_at: str) -> TelemetryAnswer:
    return TelemetryAnswer(id=str(id_), accepted=accepted, received_at=received_at)
