"""One conflict: three sides field by field, the decision, tried before it is saved, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from litestar import get, post

from homing.console import labels
from homing.console.flash import bad, good
from homing.console.formats import address
from homing.console.forms import Form
from homing.console.pages.conflicts import AGES, Age, Short
from homing.console.shell import Asked, Html, render, see_other
from homing.console.sides import Sides, changed_lines, merge, sides_of
from homing.console.typed import read_typed, write_typed
from homing.engine import conflicts
from homing.engine.caller import Caller
from homing.engine.conflicts import ConflictDetail, Preview
from homing.engine.reach import Reach, reach
from homing.postgres.sql import fetch_one, load
from homing.protocol.errors import Problem
from homing.protocol.messages import ResolveRequest
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

DECISIONS: Final = {"accept_server": "Accept server", "accept_client": "Accept device", "merged": "Merge"}


class Choice:
    """What a form says so far: the side picked for each line, what was typed there, and what is wrong with it."""

    def __init__(self, form: Form | None, found: Sides) -> None:
        lines = found.lines
        self.picks: dict[str, Any] = {}
        self.texts: dict[str, str] = {}
        self.typed: dict[str, Any] = {}
        self.errors: dict[str, str] = {}
        self.notes = (form.raw("notes") or "") if form is not None else ""
        for line in lines:
            pick = form.maybe(f"pick.{line.key}") if form is not None else None
            text = form.raw(f"typed.{line.key}") if form is not None else None
            self.picks[line.key] = pick if pick in ("server", "client", "base", "typed") else line.usual
            given = line.client if line.mark in ("client", "both") else line.server
            self.texts[line.key] = text if text is not None else write_typed(given.value, kind=line.kind)

    def read(self, found: Sides) -> dict[str, Any] | None:
        """The payload of a merge; None where something is wrong, which then stands in ``errors``."""
        for line in found.lines:
            if self.picks[line.key] is None:
                self.errors[line.key] = "Choose a side, or type what it is to be."
            elif self.picks[line.key] == "typed":
                try:
                    self.typed[line.key] = read_typed(self.texts[line.key], kind=line.kind)
                except ValueError as error:
                    self.errors[line.key] = str(error)
        return None if self.errors else merge(found, self.picks, self.typed)

    def blame(self, problem: Problem, found: Sides) -> bool:
        """Put a refusal beside the field it names; whether there is one."""
        path = str(problem.extra.get("path") or "").strip("/")
        for line in found.lines:
            if path and (path == line.key or line.path[0] == path.split("/", 1)[0]):
                self.errors[line.key] = problem.detail
                return True
        return False


@get("/conflicts/{conflict_id:uuid}", roles=OFFICE)
async def get_conflict(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    conflict_id: UUID,
    table: Short = None,
    device: Short = None,
    person: Short = None,
    age: Age | None = None,
    code: Short = None,
) -> Html:
    """The page. The query is the queue's: where "next" goes."""
    found = await conflicts.show(tenant.engine, conflict_id, user=None)
    queue = {"table": table, "device": device, "person": person, "age": age, "code": code}
    return await _page(request, tenant, caller, found, queue)


@get("/conflicts/{conflict_id:uuid}/reach", roles=OFFICE)
async def get_reach(request: Asked, tenant: Tenant, conflict_id: UUID) -> Html:
    """Which devices have the decision, alone, for the page that is open."""
    found = await conflicts.show(tenant.engine, conflict_id, user=None)
    return render(
        request, "conflict.html", title="", fragment="reach", conflict=found, reach=await _reach(tenant, found)
    )


@post("/conflicts/{conflict_id:uuid}/decide", roles=OFFICE, status_code=200)
async def post_decide(request: Asked, tenant: Tenant, caller: Caller, conflict_id: UUID, form: Form) -> Html:
    """Try a decision, or save it. Whatever is refused, what was typed stays."""
    found = await conflicts.show(tenant.engine, conflict_id, user=None)
    queue = {name: form.maybe(f"queue.{name}") for name in ("table", "device", "person", "age", "code")}
    decision = form.maybe("save") or form.maybe("try") or "merged"
    if decision not in DECISIONS:
        raise Problem("invalid_parameter", "There is no such decision.")
    sides = sides_of(found, tenant.engine.bound.by_resource_type.get(found.resource_type))
    choice = Choice(form, sides)
    payload = None
    if decision == "merged" and (payload := choice.read(sides)) is None:
        return await _page(request, tenant, caller, found, queue, choice=choice, status=422)
    wanted = ResolveRequest(resolution=decision, payload=payload, notes=form.maybe("notes"))  # type: ignore[arg-type]
    try:
        if form.maybe("save") is not None:
            await conflicts.settle(tenant.engine, caller, conflict_id, wanted)
        else:
            seen = await conflicts.preview(tenant.engine, caller, conflict_id, wanted)
            return await _page(request, tenant, caller, found, queue, choice=choice, tried=(decision, seen))
    except Problem as problem:
        now = await conflicts.show(tenant.engine, conflict_id, user=None)
        if not choice.blame(problem, sides) or now.resolution == "resolved":
            return await _page(request, tenant, caller, now, queue, choice=choice, problem=problem, mine=decision)
        return await _page(request, tenant, caller, now, queue, choice=choice, status=422)
    back = address(f"/console/conflicts/{conflict_id}", queue)
    return see_other(back, good("Decided. Every device that holds the row gets it with its next pull."))


async def _page(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    found: ConflictDetail,
    queue: dict[str, Any],
    *,
    choice: Choice | None = None,
    tried: tuple[str, Preview] | None = None,
    problem: Problem | None = None,
    mine: str | None = None,
    status: int = 200,
) -> Html:
    table = tenant.engine.bound.by_resource_type.get(found.resource_type)
    sides = sides_of(found, table)
    lost = found.resolution == "resolved" and choice is not None
    said = None
    if choice is not None and choice.errors and not lost:
        said = bad("Something is still to be decided, or cannot be so: see the fields.")
    row = (found.resource_type, found.resource_id)
    called = (await labels.of_rows(tenant, caller, [row])).get(row)
    return render(
        request,
        "conflict.html",
        title=f"Conflict about {found.resource_type} {called or _short(found.resource_id)}",
        crumbs=[("Conflicts", address("/console/conflicts", queue))],
        status=status if problem is None else problem.code.status or 409,
        said=said,
        conflict=found,
        sides=sides,
        choice=choice or Choice(None, sides),
        tried=None if tried is None else tried[0],
        changes=[] if tried is None else changed_lines(found, tried[1].payload),
        deletes=tried is not None and tried[1].payload is None,
        version=None if tried is None else tried[1].version,
        problem=problem,
        lost=lost,
        mine=mine,
        decisions=DECISIONS,
        queue=queue,
        next_one=await _next(tenant, found, queue),
        reach=await _reach(tenant, found),
        decided_by=await _name(tenant, found.resolved_by),
    )


async def _name(tenant: Tenant, user: UUID | None) -> str | None:
    if user is None:
        return None
    async with tenant.database.connection() as conn:
        row = await fetch_one(conn, load("homing.console", "name_users"), {"ids": [str(user)]})
    return None if row is None else str(row[1])


async def _next(tenant: Tenant, found: ConflictDetail, queue: dict[str, Any]) -> str | None:
    """Where the next one of the queue is; behind the last comes the first. None: there is no other."""
    places: list[tuple[datetime, UUID] | None] = [(found.detected_at, found.id), None]
    for after in places:
        rest = await conflicts.find(
            tenant.engine,
            resolution="pending",
            resource_type=queue["table"],
            device=queue["device"],
            user=None,
            person=queue["person"],
            code=queue["code"],
            before=tenant.clock() - AGES[queue["age"]] if queue["age"] in AGES else None,
            after=after,
            limit=2,
        )
        for other in rest:
            if other.id != found.id:
                return address(f"/console/conflicts/{other.id}", queue)
    return None


async def _reach(tenant: Tenant, found: ConflictDetail) -> Reach | None:
    if found.resolution != "resolved" or found.resolved_version is None:
        return None
    return await reach(
        tenant.engine, resource_type=found.resource_type, row_id=found.resource_id, version=found.resolved_version
    )


def _short(key: str) -> str:
    return key if len(key) <= 20 else f"{key[:8]}…"


ROUTES = [get_conflict, get_reach, post_decide]
