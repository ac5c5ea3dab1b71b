"""Forms: the office writes a draft as JSON Schema, sees what it would ask, publishes it, and compares versions."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import get, post

from homing.apps.fieldwork import forms as schemas
from homing.apps.fieldwork import publishing
from homing.apps.fieldwork.forms import Fault
from homing.apps.fieldwork.publishing import FormChange, NewForm, Publish
from homing.apps.fieldwork.routes import forms
from homing.console.apps import answered, needed
from homing.console.compare import compare
from homing.console.flash import bad, good
from homing.console.form_preview import picture
from homing.console.formats import pretty
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.shell import Asked, Html, render, see_other
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.bodies import decode
from homing.server.pages import LIMIT_DEFAULT, LIMIT_MAX, After, Limit, Page
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

APP: Final = "fieldwork"
DRAFT: Final = "draft"
"""What a comparison calls the draft; where a version is called so too, that one is meant."""
START: Final = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 100}}, "required": ["name"]}
_CRUMBS: Final = [("Forms", "/console/forms")]


@get("/forms", roles=OFFICE)
async def get_forms(
    *, request: Asked, tenant: Tenant, caller: Caller, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Html:
    """All forms, the newest first."""
    needed(tenant, APP)
    found = answered(await forms.get_forms.fn(tenant=tenant, caller=caller, limit=limit, after=after))
    return render(request, "forms.html", title="Forms", page=Page(**found), after=after)


@get("/forms/new", roles=OFFICE)
async def get_new(request: Asked, tenant: Tenant) -> Html:
    """A form to begin with."""
    needed(tenant, APP)
    return await _editor(request, {"code": "", "name": "", "schema": pretty(START)}, form=None, versions=[])


@post("/forms/new", roles=OFFICE, status_code=200)
async def post_new(*, request: Asked, tenant: Tenant, caller: Caller, form: Form) -> Html:
    """Keep a new form as a draft."""
    needed(tenant, APP)
    given = {name: form.raw(name) or "" for name in ("code", "name", "schema")}
    try:
        new = _checked(
            {
                "code": form.text("code"),
                "name": form.text("name"),
                "schema": await _schema(request, form.text("schema")),
            },
            NewForm,
        )
        async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
            await tenant.rows.keep(conn, 1)
            form_id = await publishing.create_form(conn, caller, new)
    except Problem as problem:
        return await _editor(
            request, given, form=None, versions=[], kept=Kept(form, problem, names=(("already_exists", "code"),))
        )
    return see_other(f"/console/forms/{form_id}", good("The draft is saved."))


@post("/forms/preview", roles=OFFICE, reads=True, status_code=200)
async def post_preview(*, request: Asked, tenant: Tenant, form: Form) -> Html:
    """What a phone would ask by the schema that is being typed, and what is wrong with it."""
    needed(tenant, APP)
    return render(
        request, "form.html", title="Preview", fragment="preview", **await _drawn(request, form.raw("schema") or "")
    )


@get("/forms/{form_id:uuid}", roles=OFFICE)
async def get_form(*, request: Asked, tenant: Tenant, caller: Caller, form_id: UUID) -> Html:
    """One form: its draft, or what is published, to go on from."""
    return await _page(request, tenant, caller, form_id)


@post("/forms/{form_id:uuid}", roles=OFFICE, status_code=200)
async def post_form(*, request: Asked, tenant: Tenant, caller: Caller, form_id: UUID, form: Form) -> Html:
    """Save the draft; with ``do=publish`` make it the next version. A draft that cannot be published is saved."""
    needed(tenant, APP)
    given = {name: form.raw(name) or "" for name in ("name", "schema", "version")}
    try:
        now = await _read(tenant, caller, form_id)
        if form.text("was") != now["updated_at"]:
            given["was"] = now["updated_at"]
            raise Problem("state_conflict", "Somebody else saved this form meanwhile. Saving again replaces theirs.")
        schema = await _schema(request, form.text("schema"))
        wanted = {"name": form.text("name"), **({} if schema == _current(now) else {"schema": schema})}
        change = _checked(wanted, FormChange)
        publish = _checked({"version": form.maybe("version")}, Publish)
        async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
            await publishing.change_form(conn, form_id, change)
        if form.maybe("do") != "publish":
            return see_other(f"/console/forms/{form_id}", good("The draft is saved."))
        given["was"] = (await _read(tenant, caller, form_id))["updated_at"]
        async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
            await tenant.rows.keep(conn, 1)
            version = await publishing.publish_form(conn, caller, form_id, publish)
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return await _page(
            request,
            tenant,
            caller,
            form_id,
            given=given,
            kept=Kept(form, problem, names=(("already_exists", "version"),)),
        )
    return see_other(f"/console/forms/{form_id}", good(f"{version} is published: devices get it with their next sync."))


@post("/forms/{form_id:uuid}/offer", roles=OFFICE)
async def post_offer(*, tenant: Tenant, caller: Caller, form_id: UUID, form: Form) -> Html:
    """Withdraw the form from devices, or offer again what was published last."""
    needed(tenant, APP)
    offered = form.flag("published")
    try:
        async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
            await publishing.find_form(conn, caller, str(form_id))
            await publishing.change_form(conn, form_id, FormChange(published=offered))
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return see_other(f"/console/forms/{form_id}", bad(problem.detail))
    told = "Devices offer the form again." if offered else "The form is withdrawn: devices offer it no more."
    return see_other(f"/console/forms/{form_id}", good(told))


@get("/forms/{form_id:uuid}/compare", roles=OFFICE)
async def get_compare(
    *, request: Asked, tenant: Tenant, caller: Caller, form_id: UUID, left: str | None = None, right: str | None = None
) -> Html:
    """Two versions side by side; without others, the last two."""
    needed(tenant, APP)
    form = await _read(tenant, caller, form_id)
    names = [each["form_version"] for each in await _versions(tenant, caller, form_id)]
    names = [DRAFT, *names] if form["draft_schema"] is not None and DRAFT not in names else names
    left = left or (names[1] if len(names) > 1 else names[0] if names else DRAFT)
    right = right or (names[0] if names else DRAFT)
    texts = [await _text(tenant, caller, form, name) for name in (left, right)]
    return render(
        request,
        "form_compare.html",
        title="Versions side by side",
        crumbs=[*_CRUMBS, (form["name"], f"/console/forms/{form_id}")],
        names=names,
        left=left,
        right=right,
        lines=await asyncio.to_thread(compare, *texts),
    )


ROUTES = [get_forms, get_new, post_new, post_preview, get_form, post_form, post_offer, get_compare]


async def _page(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    form_id: UUID,
    *,
    given: dict[str, str] | None = None,
    kept: Kept | None = None,
) -> Html:
    needed(tenant, APP)
    form = await _read(tenant, caller, form_id)
    shown = {"name": form["name"], "schema": pretty(_current(form)), "version": "", "was": form["updated_at"]}
    versions = await _versions(tenant, caller, form_id)
    return await _editor(request, shown | (given or {}), form=form, versions=versions, kept=kept)


async def _editor(
    request: Asked,
    given: dict[str, str],
    *,
    form: dict[str, Any] | None,
    versions: list[dict[str, Any]],
    kept: Kept | None = None,
) -> Html:
    return render(
        request,
        "form.html",
        title="New form" if form is None else form["name"],
        crumbs=_CRUMBS,
        kept=kept,
        given=given,
        form=form,
        versions=versions,
        **await _drawn(request, given["schema"]),
    )


async def _drawn(request: Asked, text: str) -> dict[str, Any]:
    """The preview of the schema in ``text``, and what is wrong with it."""
    try:
        return _judged(await _schema(request, text))
    except Problem as problem:
        return {"faults": [Fault("", problem.detail)], "fields": []}


def _judged(schema: Any) -> dict[str, Any]:
    return {"faults": schemas.schema_faults(schema), "fields": picture(schema) if isinstance(schema, dict) else []}


async def _schema(request: Asked, text: str) -> dict[str, Any]:
    """The schema that was typed, as strictly as the API reads one."""
    try:
        return await decode(text.encode(), dict[str, Any], limits=request.app.state.limits)
    except Problem as problem:
        raise Problem(problem.code.code, f"The schema: {problem.detail}", path="/schema") from None


async def _read(tenant: Tenant, caller: Caller, form_id: UUID) -> dict[str, Any]:
    found: dict[str, Any] = answered(await forms.get_form.fn(tenant=tenant, caller=caller, form=str(form_id)))
    return found


def _current(form: dict[str, Any]) -> Any:
    return form["schema"] if form["draft_schema"] is None else form["draft_schema"]


async def _versions(tenant: Tenant, caller: Caller, form_id: UUID) -> list[dict[str, Any]]:
    found = await forms.get_versions.fn(tenant=tenant, caller=caller, form=str(form_id), limit=LIMIT_MAX)
    items: list[dict[str, Any]] = answered(found)["items"]
    return items


async def _text(tenant: Tenant, caller: Caller, form: dict[str, Any], version: str) -> list[str]:
    """A version's schema, or the draft's, in lines."""
    try:
        found = await forms.get_version.fn(tenant=tenant, caller=caller, form=form["id"], version=version)
    except Problem:
        if version != DRAFT:
            raise
        return pretty(_current(form)).splitlines()
    return pretty(answered(found)["schema"]).splitlines()


def _checked(given: dict[str, Any], kind: Any) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise Problem("invalid_envelope", str(error)) from None
