"""Taking a batch, by whichever address it came: counted, applied, and looked at for what it says of the device."""

from __future__ import annotations

from homing.accounts import trust
from homing.engine import push, status
from homing.engine.caller import Claims
from homing.protocol.messages import PushAnswer, PushRequest
from homing.server.tenant import Tenant


async def take(tenant: Tenant, claims: Claims, given: PushRequest) -> PushAnswer:
    """Apply a batch, exactly once. Raises Problem as ``push.push`` does."""
    async with status.watched(tenant.engine, claims):
        answer = await push.push(tenant.engine, claims, given)
    device = claims.device_name or given.device_id
    if device is not None and _is_suspicious(tenant, given, answer):
        await trust.review_by_name(tenant.database, device, now=tenant.clock())
    return answer


def _is_suspicious(tenant: Tenant, given: PushRequest, answer: PushAnswer) -> bool:
    """Whether the push gives reason to look at the device's trust: refused items, or a clock far off."""
    if any(result.status == "error" for result in answer.results):
        return True
    offset = push.measured(given.client_time, tenant.clock())
    return offset is not None and abs(offset) > trust.CLOCK_FAR_OFF
