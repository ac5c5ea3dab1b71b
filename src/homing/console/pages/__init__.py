"""The console's pages: ``<thing>.py`` beside ``<thing>.html``. A module lists its handlers in ``ROUTES``."""

from __future__ import annotations

from homing.console.pages import home, overview, row, sign_in, tables, users

ROUTES = [
    *home.ROUTES,
    *overview.ROUTES,
    *row.ROUTES,
    *sign_in.ROUTES,
    *tables.ROUTES,
    *users.ROUTES,
]
