"""The overview: how the fleet does, and what needs a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import get

from homing.console.figures import COUNTED_MAX, Figures, read_figures
from homing.console.rows import title_of
from homing.console.shell import Asked, Html, render
from homing.engine import batches
from homing.postgres.sql import fetch_all, load
from homing.server.node import Node, TenantState
from homing.server.routing import OFFICE
from homing.server.tenant import TENANT, Tenant

BATCHES_SHOWN = 8
TABLES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for a person: how many of it, and where it is seen to."""

    label: str
    count: str
    href: str
    icon: str
    tone: str
    hint: str


@get("/overview", roles=OFFICE)
async def get_overview(request: Asked, node: Node, tenant: Tenant) -> Html:
    """The page."""
    return render(request, "overview.html", title="Overview", **await _values(node, tenant))


@get("/overview/live", roles=OFFICE)
async def get_overview_live(request: Asked, node: Node, tenant: Tenant) -> Html:
    """Its figures alone, for the page that is open."""
    return render(request, "overview.html", title="Overview", fragment="live", **await _values(node, tenant))


ROUTES = [get_overview, get_overview_live]


async def _values(node: Node, tenant: Tenant) -> dict[str, Any]:
    figures = await read_figures(tenant)
    latest = await batches.find(tenant.engine, status=None, device=None, held=None, after=None, limit=BATCHES_SHOWN)
    async with tenant.database.connection() as conn:
        names = {table.name: table for table in tenant.engine.bound.tables}
        sizes = await fetch_all(conn, load("homing.console", "estimate_rows"), {"names": list(names)})
    largest = sorted(sizes, key=lambda row: -row[2])[:TABLES_SHOWN]
    return {
        "figures": figures,
        "needs": needs_of(figures),
        "latest": latest,
        "largest": [
            (title_of(names[name]), names[name].declared.full_type, rows, size) for name, rows, size in largest
        ],
        "tenants": _tenants(node, tenant),
        "chart": [
            ("Batches", figures.series.batches, "accent"),
            ("Failed", figures.series.failed, "bad"),
        ],
    }


def needs_of(figures: Figures) -> list[Need]:
    """What waits for a person, by the figures."""
    found = [
        (
            figures.conflicts,
            ("Conflict to decide", "Conflicts to decide"),
            "/console/conflicts",
            "git-merge",
            "warn",
            "Both sides changed it",
        ),
        (
            figures.quarantined,
            ("Quarantined item", "Quarantined items"),
            "/console/quarantine",
            "triangle-alert",
            "bad",
            "Refused, not lost",
        ),
        (
            figures.held,
            ("Batch held", "Batches held"),
            "/console/batches?show=held",
            "package",
            "warn",
            "Sent by distrusted devices",
        ),
        (
            sum(figures.series.failed),
            ("Failed batch", "Failed batches"),
            "/console/batches?show=failed",
            "package",
            "bad",
            "In the last day",
        ),
        (
            figures.devices.get("suspended", 0),
            ("Suspended device", "Suspended devices"),
            "/console/devices?status=suspended",
            "smartphone",
            "warn",
            "They exchange nothing",
        ),
        (
            figures.dead_jobs,
            ("Dead job", "Dead jobs"),
            "/console/jobs?status=dead",
            "list-checks",
            "bad",
            "Gave up after all tries",
        ),
    ]
    return [
        Need(labels[count > 1], bounded(count), href, icon, tone, hint)
        for count, labels, href, icon, tone, hint in found
        if count
    ]


def bounded(count: int) -> str:
    return f"{count:,}" if count <= COUNTED_MAX else f"{COUNTED_MAX:,}+"


def _tenants(node: Node, tenant: Tenant) -> list[TenantState]:
    """The other tenants, for the office of the default one alone."""
    return node.states() if tenant.name == TENANT else []
