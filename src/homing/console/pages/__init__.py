"""The console's pages: ``<thing>.py`` beside ``<thing>.html``. A module lists its handlers in ``ROUTES``."""

from __future__ import annotations

from homing.console.pages import home, overview, sign_in, users

ROUTES = [
    *home.ROUTES,
    *overview.ROUTES,
    *sign_in.ROUTES,
    *users.ROUTES,
]
