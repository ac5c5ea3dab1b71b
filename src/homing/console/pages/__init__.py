"""The console's pages: ``<thing>.py`` beside ``<thing>.html``. A module lists its handlers in ``ROUTES``."""

from __future__ import annotations

from homing.console.pages import (
    api,
    audit,
    home,
    jobs,
    overview,
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
    *home.ROUTES,
    *jobs.ROUTES,
    *overview.ROUTES,
    *roles.ROUTES,
    *row.ROUTES,
    *settings.ROUTES,
    *sign_in.ROUTES,
    *tables.ROUTES,
    *tenants.ROUTES,
    *users.ROUTES,
]
