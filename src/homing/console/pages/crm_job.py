"""The page of one job: its status and where it may go, who is on it, the checklist, history and activity."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post

from homing.apps.crm.routes import jobs
from homing.apps.crm.rules import TRANSITIONS
from homing.console.apps import answered, needed
from homing.console.flash import good
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.pages.crm import APP, CRUMBS, people
from homing.console.shell import Asked, Html, render, see_other
from homing.engine.caller import Caller, Claims
from homing.protocol.errors import Problem
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.tenant import Tenant
from homing.server.writing import create, delete, update

_NAMES = (("user_id", "user"),)
"""Columns that the forms call otherwise."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """The page that every form here comes from and goes back to."""

    request: Asked
    tenant: Tenant
    caller: Caller
    job_id: UUID

    async def shown(self, kept: Kept | None = None) -> Html:
        job = answered(await jobs.get_job.fn(tenant=self.tenant, caller=self.caller, job_id=self.job_id))
        there = {each["user_id"] for each in job["assignments"]}
        others = await people(self.tenant) if self.caller.role in OFFICE else []
        return render(
            self.request,
            "crm_job.html",
            title=job["title"],
            crumbs=CRUMBS,
            kept=kept,
            job=job,
            steps=[each for each in TRANSITIONS if each in TRANSITIONS[job["status"]]],
            people=[each for each in others if each[0] not in there],
        )

    async def after(self, form: Form, writing: Awaitable[object], told: str) -> Html:
        """The page again, which says what came of it; where it was refused, with what was typed."""
        try:
            await writing
        except Problem as problem:
            if problem.code.code == "not_found":
                raise
            return await self.shown(Kept(form, problem, names=_NAMES))
        return see_other(f"/console/crm/jobs/{self.job_id}", good(told))


@get("/crm/jobs/{job_id:uuid}", roles=SIGNED_IN)
async def get_job(request: Asked, tenant: Tenant, caller: Caller, job_id: UUID) -> Html:
    """One job with everything."""
    needed(tenant, APP)
    return await JobPage(request, tenant, caller, job_id).shown()


@post("/crm/jobs/{job_id:uuid}/status", roles=SIGNED_IN)
async def post_status(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, form: Form
) -> Html:
    """Take the job to its next status, if it is still where the page showed it."""
    needed(tenant, APP)
    page = JobPage(request, tenant, caller, job_id)
    status = form.text("status")
    columns = {"status": status, "server_version": msgspec.Raw(str(form.number("version")).encode())}
    writing = update(tenant.engine, claims, "crm.job", job_id, columns)
    return await page.after(form, writing, f"The job is {status.replace('_', ' ').lower()}.")


@post("/crm/jobs/{job_id:uuid}/notes", roles=SIGNED_IN)
async def post_notes(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, form: Form
) -> Html:
    """Say something about the job."""
    needed(tenant, APP)
    page = JobPage(request, tenant, caller, job_id)
    columns = {"notes": form.maybe("notes"), "server_version": msgspec.Raw(str(form.number("version")).encode())}
    return await page.after(form, update(tenant.engine, claims, "crm.job", job_id, columns), "The notes are saved.")


@post("/crm/jobs/{job_id:uuid}/materials", roles=SIGNED_IN)
async def post_material(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, form: Form
) -> Html:
    """Write something down that the job needs."""
    needed(tenant, APP)
    page = JobPage(request, tenant, caller, job_id)
    given = {name: form.maybe(name) for name in ("item_name", "quantity", "unit")}
    columns: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    columns["job_id"] = str(job_id)
    return await page.after(form, create(tenant.engine, claims, "crm.material", columns), "It is on the list.")


@post("/crm/jobs/{job_id:uuid}/materials/{material_id:uuid}", roles=SIGNED_IN)
async def post_tick(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, material_id: UUID, form: Form
) -> Html:
    """Tick a material, untick it, or take it off the list."""
    needed(tenant, APP)
    page = JobPage(request, tenant, caller, job_id)
    match form.text("do"):
        case "tick":
            writing: Awaitable[object] = update(tenant.engine, claims, "crm.material", material_id, {"purchased": True})
            told = "It is purchased."
        case "untick":
            writing = update(tenant.engine, claims, "crm.material", material_id, {"purchased": False})
            told = "It is to be purchased."
        case "remove":
            writing = delete(tenant.engine, claims, "crm.material", material_id)
            told = "It is off the list."
        case _:
            raise Problem("invalid_parameter", "do: tick, untick or remove.")
    return await page.after(form, writing, told)


@post("/crm/jobs/{job_id:uuid}/assignments", roles=OFFICE)
async def post_assignment(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, form: Form
) -> Html:
    """Put somebody on the job."""
    needed(tenant, APP)
    page = JobPage(request, tenant, caller, job_id)
    columns = {"job_id": str(job_id), "user_id": form.text("user")}
    writing = create(tenant.engine, claims, "crm.job_assignment", columns)
    return await page.after(form, writing, "Assigned: the job is on their phone with its next sync.")


@post("/crm/jobs/{job_id:uuid}/assignments/{user_id:uuid}/remove", roles=OFFICE)
async def post_unassign(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, user_id: UUID, form: Form
) -> Html:
    """Take somebody off the job."""
    needed(tenant, APP)
    page = JobPage(request, tenant, caller, job_id)
    taking = jobs.delete_assignment.fn(tenant=tenant, claims=claims, job_id=job_id, user_id=user_id)
    return await page.after(form, taking, "The job leaves their phone with its next sync.")


ROUTES = [get_job, post_status, post_notes, post_material, post_tick, post_assignment, post_unassign]
