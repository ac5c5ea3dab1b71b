"""The server's own routes, one file a subject or a step of the protocol.

A module here lists its handlers in ``ROUTES`` and is named below once; the order does not matter.
"""

from __future__ import annotations

from homing.server.routes import (
    ack,
    analytics,
    auth,
    batches,
    capabilities,
    conflicts,
    devices,
    enrollments,
    errors,
    explain,
    health,
    jobs,
    live,
    media,
    notifications,
    pull,
    push,
    status,
    telemetry,
    users,
    verify,
)

BASE_PATH = "/api/v1"

ROUTES = [
    *ack.ROUTES,
    *analytics.ROUTES,
    *auth.ROUTES,
    *batches.ROUTES,
    *capabilities.ROUTES,
    *conflicts.ROUTES,
    *devices.ROUTES,
    *enrollments.ROUTES,
    *explain.ROUTES,
    *jobs.ROUTES,
    *live.ROUTES,
    *media.ROUTES,
    *notifications.ROUTES,
    *pull.ROUTES,
    *push.ROUTES,
    *status.ROUTES,
    *telemetry.ROUTES,
    *users.ROUTES,
    *verify.ROUTES,
]
"""Under the base path."""

SPEC_ROUTES = [*analytics.SPEC_ROUTES, *devices.SPEC_ROUTES, *notifications.SPEC_ROUTES]
"""Below /api as well: addresses that a specification writes without the version."""

ROOT_ROUTES = [*errors.ROUTES, *health.ROUTES]
"""At the root: for probes, Prometheus, tools, and people who follow an error's address."""
