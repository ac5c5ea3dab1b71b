"""Where one comes in: the root, and the first page that somebody may see. And every address that is none."""

from __future__ import annotations

from litestar import Response, get

from homing.console.nav import sections_for
from homing.console.shell import Asked, Html, see_other
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.routing import PUBLIC, SIGNED_IN
from homing.server.tenant import Tenant


@get("/", roles=PUBLIC, of_node=True, any_query=True, status_code=303)
async def get_root() -> Html:
    """Whoever opens the server in a browser wants the console."""
    return Response("", media_type="text/html", status_code=303, headers={"location": "/console"})


@get("/", roles=SIGNED_IN, any_query=True, status_code=303)
async def get_home(tenant: Tenant, caller: Caller) -> Html:
    """The first page that the caller may see."""
    sections = sections_for(caller.role, {app.name for app in tenant.apps})
    if not sections:
        raise Problem("forbidden", "The console has no page for your role.")
    return see_other(sections[0].entries[0].href)


@get("/{anything:path}", roles=SIGNED_IN, any_query=True)
async def get_nothing(request: Asked, anything: str) -> Html:  # noqa: ARG001 - Litestar goes by their names
    """Every other address. Whoever is not signed in is not told what there is."""
    raise Problem("not_found", "There is no such page.")


ROUTES = [get_home, get_nothing]
