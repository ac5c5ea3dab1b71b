"""Pages of applications: they show what the applications' own routes answer, so no rule is written twice."""

from __future__ import annotations

from typing import Any

from homing.console.formats import decoded
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.tenant import Tenant


def needed(tenant: Tenant, app: str) -> None:
    """Raises Problem("not_found") where the tenant does not have the application: then it has no such page either."""
    if app not in tenant.modules:
        raise Problem("not_found")


def answered(answer: RawJson) -> Any:
    """What a route answered, read again; also what a device or SQL wrote that no float holds."""
    return decoded(answer.body)
