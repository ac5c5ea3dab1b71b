"""The route of the trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter

from homing.apps.crm.trail import Activity, read_activity
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant

Kind = Annotated[
    Literal["customer", "job", "job_assignment", "material", "job_status_history"] | None,
    QueryParameter(description="What was changed."),
]
Text = Annotated[str | None, QueryParameter(min_length=1, max_length=50)]
Since = Annotated[str | None, QueryParameter(name="from", max_length=40, description="At this time or later.")]
Until = Annotated[str | None, QueryParameter(name="to", max_length=40, description="Before this time.")]


@get("/activity", roles=SIGNED_IN)
async def get_activity(
    *,
    tenant: Tenant,
    caller: Caller,
    entity_type: Kind = None,
    entity_id: UUID | None = None,
    action: Text = None,
    user: UUID | None = None,
    job: UUID | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[Activity]:
    """Who changed what, the latest first, with old and new: everything for the office, that of their jobs for
    workers."""
    named = {"entity_type": entity_type, "entity_id": entity_id, "action": action, "user": user, "job": job}
    filters: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    for name, parameter, text in (("since", "from", since), ("until", "to", until)):
        if text is not None:
            filters[name] = _time(parameter, text)
    if caller.role != "OWNER":
        filters["worker"] = caller.user_id
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return await read_activity(conn, filters, after=after, limit=limit)


ROUTES = (get_activity,)


def _time(parameter: str, value: str) -> datetime:
    # A plus sign that was not escaped arrives as a space.
    try:
        moment = msgspec.convert(value.replace(" ", "+"), type=datetime)
    except msgspec.ValidationError as error:
        raise _bad_time(parameter) from error
    if moment.tzinfo is None:
        raise _bad_time(parameter)
    return moment


def _bad_time(parameter: str) -> Problem:
    return Problem("invalid_parameter", f"{parameter}: a time like 2026-01-02T03:04:05Z is needed")
