"""The marketplace as the office looks after it: what is in it, what became of notifications, web against mobile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final

from litestar import get
from litestar.params import QueryParameter

from homing.apps.marketplace.days import read_days
from homing.console.apps import needed
from homing.console.rows import Wanted, count_rows, find_table, list_rows, name_references, read_filters, title_of
from homing.console.shell import Asked, Html, render
from homing.engine.caller import Caller
from homing.notify.inbox import Rate
from homing.protocol.errors import Problem
from homing.server.routes import analytics, notifications
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant
from homing.telemetry.metrics import write_time
from homing.telemetry.usage import Usage

APP: Final = "marketplace"
NEWEST: Final = 5
WATCHED: Final = (
    ("marketplace.job", "Open jobs", "status:is:open", "briefcase"),
    ("marketplace.job", "Jobs in progress", "status:is:in_progress", "play"),
    ("marketplace.job", "Completed jobs", "status:is:completed", "circle-check"),
    ("marketplace.proposal", "Undecided proposals", "status:is:submitted", "clock"),
    ("marketplace.proposal", "Accepted proposals", "status:is:accepted", "file-text"),
    ("marketplace.profile", "Listed profiles", "is_listed:is:true", "users"),
)
"""What the page counts: table, what it says, which of them, icon."""
TABLES: Final = (
    ("marketplace.job", ("title", "status", "client_id", "freelancer_id", "created_at")),
    ("marketplace.proposal", ("job_id", "status", "freelancer_id", "amount_cents", "created_at")),
    ("marketplace.profile", ("name", "kind", "user_id", "is_listed", "created_at")),
)
SPANS: Final = ((1, "1 day"), (7, "7 days"), (30, "30 days"), (90, "90 days"))
Days = Annotated[int, QueryParameter(ge=1, le=365)]
"""Of a report. It adds up all that was sent or done, which takes longer than a page may: so its page comes without it,
and asks again for the ``whole``."""
_CRUMBS: Final = [("Marketplace", "/console/marketplace")]


@get("/marketplace", roles=OFFICE)
async def get_marketplace(request: Asked, tenant: Tenant, caller: Caller) -> Html:
    """How much there is of everything, how it went day by day, and what changed last."""
    needed(tenant, APP)
    counts = [
        (label, await _count(tenant, caller, kind, which), f"/console/tables/{kind}?where={which}", icon)
        for kind, label, which, icon in WATCHED
    ]
    newest = []
    for kind, names in TABLES:
        table = find_table(tenant, kind)
        page = (await list_rows(tenant, caller, table, Wanted(limit=NEWEST))).page
        columns = [table.columns[name] for name in names]
        refers = await name_references(tenant, caller, table, page.items, columns)
        newest.append((title_of(table), kind, columns, page.items, refers))
    async with tenant.engine.owner.connection() as conn:
        days = await read_days(conn, now=tenant.clock())
    return render(
        request, "marketplace.html", title="Marketplace", tabs=_tabs(), counts=counts, newest=newest, days=days
    )


@get("/marketplace/notifications", roles=OFFICE)
async def get_notifications(request: Asked, tenant: Tenant, days: Days = 30, whole: bool = False) -> Html:
    """What became of the notifications that were sent."""
    needed(tenant, APP)
    found: notifications.Rates | None = await notifications.get_rates.fn(tenant=tenant, days=days) if whole else None
    return render(
        request,
        "marketplace_notifications.html",
        title="Notifications",
        crumbs=_CRUMBS,
        tabs=_tabs(),
        spans=SPANS,
        days=days,
        rates=found,
        totals=None if found is None else _totals(found.items),
    )


@get("/marketplace/metrics", roles=OFFICE)
async def get_metrics(request: Asked, tenant: Tenant, days: Days = 7, whole: bool = False) -> Html:
    """Web against mobile, and what is mobile's alone."""
    needed(tenant, APP)
    now = tenant.clock()
    usage: Usage | None = None
    if whole:
        since = write_time(now - timedelta(days=days))
        usage = await analytics.get_usage.fn(tenant=tenant, since=since, until=write_time(now))
    return render(
        request,
        "marketplace_metrics.html",
        title="Web against mobile",
        crumbs=_CRUMBS,
        tabs=_tabs(),
        spans=SPANS,
        days=days,
        usage=usage,
        against=[] if usage is None else _against(usage),
    )


ROUTES = [get_marketplace, get_notifications, get_metrics]


def _tabs() -> list[tuple[str, str, None]]:
    return [
        ("Marketplace", "/console/marketplace", None),
        ("Notifications", "/console/marketplace/notifications", None),
        ("Web against mobile", "/console/marketplace/metrics", None),
    ]


async def _count(tenant: Tenant, caller: Caller, kind: str, which: str) -> str:
    """How many rows fit, up to a bound; a dash where finding that out takes longer than a list may."""
    table = find_table(tenant, kind)
    try:
        return await count_rows(tenant, caller, table, read_filters(table, [which]))
    except Problem:
        return "–"


def _totals(rates: Sequence[Rate]) -> dict[str, int]:
    """All deliveries, by what became of them."""
    return {
        "deliveries": sum(each.deliveries for each in rates),
        "delivered": sum(each.deliveries for each in rates if each.status == "delivered"),
        "failed": sum(each.deliveries for each in rates if each.status in ("failed", "gone")),
        "read": sum(each.read for each in rates),
        "clicked": sum(each.clicked for each in rates),
    }


def _against(usage: Usage) -> list[tuple[str, list[Any]]]:
    """(what is measured, [web, mobile]); None where nothing was."""
    requests = {each.platform: each for each in usage.requests}
    engagement = {each.platform: each for each in usage.engagement}
    rows: list[tuple[str, list[Any]]] = []
    for label, name, written in (
        ("Requests", "requests", _whole),
        ("Mean response", "mean_seconds", _milliseconds),
        ("Median response", "p50_seconds", _milliseconds),
        ("95 % answered within", "p95_seconds", _milliseconds),
        ("Errors of the server", "error_rate", _percent),
        ("Refused", "refusal_rate", _percent),
    ):
        rows.append((label, [_of(requests.get(platform), name, written) for platform in ("web", "mobile")]))
    for label, name, written in (
        ("Active users", "active_users", _whole),
        ("Events", "events", _whole),
        ("Events a user", "events_per_user", _rounded),
        ("Sign-ins", "logins", _whole),
        ("Conversion", "conversion_rate", _percent),
    ):
        rows.append((label, [_of(engagement.get(platform), name, written) for platform in ("web", "mobile")]))
    return rows


def _of(found: Any, name: str, written: Any) -> str | None:
    return None if found is None else written(getattr(found, name))


def _whole(value: float) -> str:
    return f"{value:,}"


def _rounded(value: float) -> str:
    return f"{value:,.1f}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
