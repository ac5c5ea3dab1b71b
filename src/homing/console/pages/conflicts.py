"""The queue of conflicts: what waits for a person, found, walked through by keyboard, and decided many at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from litestar import get, post
from litestar.params import QueryParameter

from homing.console import labels, sides
from homing.console.flash import Flash, bad, good
from homing.console.forms import Form
from homing.console.shell import Asked, Html, render
from homing.engine import conflicts
from homing.engine.caller import Caller
from homing.engine.conflicts import ConflictDetail, ConflictSummary
from homing.engine.engine import Engine
from homing.protocol.errors import Problem
from homing.protocol.messages import ResolveRequest
from homing.server.pages import LIMIT_DEFAULT, After, Limit, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

AGES: Final[Mapping[str, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
AGE_CHOICES: Final = [
    ("hour", "Older than an hour"),
    ("day", "Older than a day"),
    ("week", "Older than a week"),
    ("month", "Older than 30 days"),
]
CODES: Final = ["version_conflict", "deleted", "unique_violation"]
MANY_MAX: Final = 100
"""Conflicts decided at once: each is a transaction of its own, and somebody waits for the page."""

State = Literal["pending", "resolved"]
Age = Literal["hour", "day", "week", "month"]
Short = Annotated[str | None, QueryParameter(max_length=200)]


def tables_of(tenant: Tenant) -> list[str]:
    """The synced tables, as devices call them."""
    return sorted(table.resource_type for table in tenant.engine.bound.tables)


@get("/conflicts", roles=OFFICE)
async def get_conflicts(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    show: State = "pending",
    table: Short = None,
    device: Short = None,
    person: Short = None,
    age: Age | None = None,
    code: Short = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """The queue, the newest first."""
    found = await conflicts.find(
        tenant.engine,
        resolution=show,
        resource_type=table,
        device=device,
        user=None,
        person=person,
        code=code,
        before=None if age is None else tenant.clock() - AGES[age],
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
    )
    page = page_of(found, limit=limit, place=lambda conflict: (conflict.detected_at, conflict.id))
    given = {"table": table, "device": device, "person": person, "age": age, "code": code}
    return render(
        request,
        "conflicts.html",
        title="Conflicts",
        page=page,
        shown=show,
        given=given,
        after=after,
        tables=tables_of(tenant),
        ages=AGE_CHOICES,
        called=await labels.of_rows(tenant, caller, [(each.resource_type, each.resource_id) for each in page.items]),
        codes=sorted({*CODES, *(conflict.code for conflict in page.items)}),
    )


@post("/conflicts/many", roles=OFFICE, status_code=200)
async def post_many(request: Asked, tenant: Tenant, caller: Caller, form: Form) -> Html:
    """One decision for many alike: first what it would do to each, then what it did."""
    chosen = await _read_chosen(tenant.engine, form.all("conflict"))
    alike = {(each.resource_type, tuple(sorted(each.fields)), each.code, each.action) for each in chosen}
    problem = None
    if not chosen:
        problem = "Choose conflicts in the queue first."
    elif len(alike) > 1:
        problem = "These are not alike: one decision needs the same table, the same fields and the same reason."
    decision = form.maybe("decision")
    picks = {name: form.maybe(f"pick.{name}") or "" for name in (chosen[0].fields if chosen else [])}
    if decision == "merged" and problem is None and not all(picks.values()):
        problem = "Choose a side for every field."
    outcomes: list[Outcome] = []
    save = form.maybe("save") is not None
    if problem is None and decision in ("accept_server", "accept_client", "merged"):
        notes = form.maybe("notes")
        # One after the other: each is a transaction of its own, and one that fails costs only itself.
        outcomes = [await _decide(tenant.engine, caller, each, decision, picks, notes, save=save) for each in chosen]
    return render(
        request,
        "conflicts_many.html",
        title=f"Decide {len(chosen)} conflicts",
        crumbs=[("Conflicts", "/console/conflicts")],
        said=_said(outcomes) if save else bad(problem) if problem else None,
        chosen=chosen,
        outcomes=outcomes,
        saved=save and bool(outcomes),
        decision=decision,
        picks=picks,
        notes=form.raw("notes") or "",
        broken=problem is not None,
    )


class Outcome:
    """What a decision does, or did, to one of many. ``problem`` None: it works, and the row becomes ``lines``."""

    def __init__(self, conflict: ConflictSummary, lines: list[tuple[str, Any, Any]], problem: Problem | None) -> None:
        self.conflict = conflict
        self.lines = lines
        self.problem = problem


async def _read_chosen(engine: Engine, ids: list[str]) -> list[ConflictDetail]:
    if len(ids) > MANY_MAX:
        raise Problem("too_many_items", f"At most {MANY_MAX} conflicts are decided at once.", limit=MANY_MAX)
    found = []
    for text in dict.fromkeys(ids):
        try:
            found.append(await conflicts.show(engine, UUID(text), user=None))
        except ValueError:
            raise Problem("invalid_parameter", "This is no conflict's id.") from None
    return found


async def _decide(
    engine: Engine,
    caller: Caller,
    conflict: ConflictDetail,
    decision: str,
    picks: Mapping[str, str],
    notes: str | None,
    *,
    save: bool,
) -> Outcome:
    found = sides.sides_of(conflict, engine.bound.by_resource_type.get(conflict.resource_type))
    payload = None
    if decision == "merged":
        lines = {line.key: picks.get(line.path[0]) for line in found.lines if line.mark == "both"}
        payload = sides.merge(found, {key: pick for key, pick in lines.items() if pick in ("server", "client")}, {})  # type: ignore[misc]
    wanted = ResolveRequest(resolution=decision, payload=payload, notes=notes)  # type: ignore[arg-type]
    try:
        if save:
            after = (await conflicts.settle(engine, caller, conflict.id, wanted)).resolved_payload
        else:
            after = (await conflicts.preview(engine, caller, conflict.id, wanted)).payload
    except Problem as problem:
        return Outcome(conflict, [], problem)
    return Outcome(conflict, sides.changed_lines(conflict, after), None)


def _said(outcomes: list[Outcome]) -> Flash:
    done = sum(outcome.problem is None for outcome in outcomes)
    left = len(outcomes) - done
    if left:
        return bad(f"{done} decided, {left} not: see below.")
    return good(f"{done} decided.")


ROUTES = [get_conflicts, post_many]
