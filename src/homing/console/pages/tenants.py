"""Tenants: which there are, and how they are at this node. For the office of the default tenant alone."""

from __future__ import annotations

from litestar import get

from homing.console.shell import Asked, Html, render
from homing.protocol.errors import Problem
from homing.server.node import Node
from homing.server.routing import OFFICE
from homing.server.tenant import TENANT, Tenant


@get("/tenants", roles=OFFICE)
async def get_tenants(request: Asked, node: Node, tenant: Tenant) -> Html:
    """By name. What another tenant may know of the others is nothing."""
    if tenant.name != TENANT:
        raise Problem("not_found", "There is no such page.")
    states = node.states()
    return render(
        request,
        "tenants.html",
        title="Tenants",
        states=states,
        entries={state.name: node.directory.entries[state.name] for state in states},
        open_now=node.open_now,
        most=node.settings.tenants_open_max,
    )


ROUTES = [get_tenants]
