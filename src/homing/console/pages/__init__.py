"""The console's pages: ``<thing>.py`` beside ``<thing>.html``. A module lists its handlers in ``ROUTES``."""

from __future__ import annotations

from homing.console.pages import (
    api,
    audit,
    batches,
    conflict,
    conflicts,
    device,
    devices,
    enrolments,
    explain,
    home,
    jobs,
    overview,
    quarantine,
    roles,
    row,
    settings,
    sign_in,
    tables,
    tenants,
    users,
)

ROUTES = [
    *api.ROUTES,
    *audit.ROUTES,
    *batches.ROUTES,
    *conflict.ROUTES,
    *conflicts.ROUTES,
    *device.ROUTES,
    *devices.ROUTES,
    *enrolments.ROUTES,
    *explain.ROUTES,
    *home.ROUTES,
    *jobs.ROUTES,
    *overview.ROUTES,
    *quarantine.ROUTES,
    *roles.ROUTES,
    *row.ROUTES,
    *settings.ROUTES,
    *sign_in.ROUTES,
    *tables.ROUTES,
    *tenants.ROUTES,
    *users.ROUTES,
]
