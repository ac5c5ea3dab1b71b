"""The overview: how the fleet does, and what needs a person."""

from __future__ import annotations

from litestar import get

from homing.console.shell import Asked, Html, render
from homing.server.routing import OFFICE


@get("/overview", roles=OFFICE)
async def get_overview(request: Asked) -> Html:
    """The page."""
    return render(request, "overview.html", title="Overview")


@get("/overview/live", roles=OFFICE)
async def get_live(request: Asked) -> Html:
    """Its figures alone, for the page that is open."""
    return render(request, "overview.html", title="Overview", fragment="live")


ROUTES = [get_overview, get_live]
