"""The CRM's lists: dashboards of the office and of workers, customers, activity. Each asks what the API asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from litestar import get

from homing.accounts import users
from homing.apps.crm.routes import activity, customers, jobs
from homing.apps.crm.rules import TRANSITIONS
from homing.console.apps import answered, needed
from homing.console.shell import Asked, Crumbs, Html, render
from homing.engine.caller import Caller
from homing.server.pages import LIMIT_DEFAULT, LIMIT_MAX, After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.tenant import Tenant

APP: Final = "crm"
CRUMBS: Final = [("CRM", "/console/crm")]


@get("/crm", roles=SIGNED_IN)
async def get_dashboard(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    view: jobs.View = None,
    status: jobs.Status | None = None,
    worker: UUID | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """To the office the jobs that are not completed, to workers what they have to do next."""
    needed(tenant, APP)
    office = caller.role in OFFICE
    shown = view or ("owner" if office else "worker")
    found = await jobs.get_jobs.fn(
        tenant=tenant, caller=caller, view=view, status=status, worker=worker, limit=limit, after=after
    )
    return _list(
        request,
        "crm.html",
        "Jobs" if shown == "owner" else "Next jobs",
        Page(**answered(found)),
        after,
        given={"view": view, "status": status, "worker": worker},
        crumbs=(),
        view=shown,
        statuses=list(TRANSITIONS),
        workers=await people(tenant) if office else [],
    )


@get("/crm/customers", roles=OFFICE)
async def get_customers(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    q: customers.Words = None,
    archived: customers.Archived = "no",
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Customers by words of name and address, or the beginning of a phone number."""
    needed(tenant, APP)
    found = await customers.get_customers.fn(
        tenant=tenant, caller=caller, q=q, archived=archived, limit=limit, after=after
    )
    given = {"q": q, "archived": None if archived == "no" else archived}
    return _list(request, "crm_customers.html", "Customers", Page(**answered(found)), after, given=given)


@get("/crm/customers/{customer_id:uuid}", roles=SIGNED_IN)
async def get_customer(request: Asked, tenant: Tenant, caller: Caller, customer_id: UUID) -> Html:
    """One customer, and to the office the jobs for them: the open ones, then those that are completed."""
    needed(tenant, APP)
    customer = answered(await customers.get_customer.fn(tenant=tenant, caller=caller, customer_id=customer_id))
    office = caller.role in OFFICE
    shown = []
    for status in (None, "COMPLETED") if office else ():
        found = await jobs.get_jobs.fn(tenant=tenant, caller=caller, customer=customer_id, status=status)
        shown += answered(found)["items"]
    return render(
        request,
        "crm_customer.html",
        title=customer["name"],
        crumbs=[*CRUMBS, ("Customers", "/console/crm/customers")] if office else CRUMBS,
        customer=customer,
        jobs=shown,
    )


@get("/crm/activity", roles=SIGNED_IN)
async def get_activity(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    kind: activity.Kind = None,
    job: UUID | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Who changed what: everything for the office, that of their jobs for workers."""
    needed(tenant, APP)
    found = await activity.get_activity.fn(
        tenant=tenant, caller=caller, entity_type=kind, job=job, limit=limit, after=after
    )
    return _list(request, "crm_activity.html", "Activity", found, after, given={"kind": kind, "job": job})


ROUTES = [get_dashboard, get_customers, get_customer, get_activity]


def _list(
    request: Asked,
    template: str,
    title: str,
    page: Page[Any],
    after: str | None,
    *,
    given: Mapping[str, object],
    crumbs: Crumbs = CRUMBS,
    **values: Any,
) -> Html:
    """A page of a list. ``given``: its filters, as its address has them."""
    filters = {name: None if value is None else str(value) for name, value in given.items()}
    return render(request, template, title=title, crumbs=crumbs, page=page, given=filters, after=after, **values)


async def people(tenant: Tenant) -> list[tuple[str, str]]:
    """(id, name) of users, to choose from: the first of them, as many as a list has."""
    found = await users.read_page(tenant.database, after="", limit=LIMIT_MAX, role=None, user_type=None, q=None)
    return [(str(each.id), each.name or each.username) for each in found]
