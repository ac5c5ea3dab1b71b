"""The rules of jobs and materials, as pure functions of an edit: the server's checks, and the replica's.

A phone that runs them before an edit enters its outbox (``Replica(path, checks=rules.CHECKS)``) says at once what the
server would say hours later. The server runs the same functions, and the database has the last word: its CHECKs and the
trigger on ``crm.status_transitions`` hold for every writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from homing.declare import Edit, Refusal
from homing.declare.edits import Check

TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "NOT_STARTED": frozenset({"IN_PROGRESS", "WAITING_ON_MATERIALS", "ON_HOLD"}),
    "IN_PROGRESS": frozenset({"WAITING_ON_MATERIALS", "ON_HOLD", "COMPLETED"}),
    "WAITING_ON_MATERIALS": frozenset({"IN_PROGRESS", "ON_HOLD"}),
    "ON_HOLD": frozenset({"NOT_STARTED", "IN_PROGRESS", "WAITING_ON_MATERIALS"}),
    "COMPLETED": frozenset({"IN_PROGRESS"}),
}
"""Status → what may come next; the same as the rows of ``crm.status_transitions``."""

QUANTITY_MAX = Decimal("99999999.99")
"""numeric(10, 2)"""


def status_may_follow(edit: Edit) -> Refusal | None:
    """A job only goes along TRANSITIONS. It may begin in any state: it may have begun on paper."""
    status = edit.values.get("status")
    if status is None:
        return None
    if not isinstance(status, str) or status not in TRANSITIONS:
        return Refusal("check_failed", f"status is one of {', '.join(TRANSITIONS)}", "/status")
    before = None if edit.old is None else edit.old.get("status")
    if edit.action != "update" or before == status or not isinstance(before, str) or before not in TRANSITIONS:
        return None
    if status in TRANSITIONS[before]:
        return None
    allowed = ", ".join(each for each in TRANSITIONS if each in TRANSITIONS[before])
    return Refusal("check_failed", f"a job that is {before} cannot become {status}; it can become {allowed}", "/status")


def dates_are_in_order(edit: Edit) -> Refusal | None:
    """A job does not end before it starts."""
    if not edit.values.keys() & {"start_date", "end_date"}:
        return None
    after = {**(edit.old or {}), **edit.values}
    start, end = after.get("start_date"), after.get("end_date")
    if start is None or end is None or str(start) <= str(end):  # ISO dates of four-digit years sort as text
        return None
    path = "/end_date" if "end_date" in edit.values else "/start_date"
    return Refusal("check_failed", f"the job would end on {end}, before it starts on {start}", path)


def quantity_is_positive(edit: Edit) -> Refusal | None:
    """Nobody buys nothing, or less."""
    quantity = edit.values.get("quantity")
    if quantity is None:
        return None
    try:
        number = Decimal(str(quantity))
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_nan():
        return Refusal("invalid_value", "quantity is a number", "/quantity")
    if not 0 < number <= QUANTITY_MAX:
        return Refusal("check_failed", f"quantity is more than 0 and at most {QUANTITY_MAX}", "/quantity")
    if number != round(number, 2):
        return Refusal("invalid_value", "quantity: at most 2 digits after the point are kept", "/quantity")
    return None


def purchase_fits(edit: Edit) -> Refusal | None:
    """Who purchased and when belong together, and to what was purchased. Ticking says no more than that: who and when
    are filled in by the server."""
    if not edit.values.keys() & {"purchased_by_id", "purchased_at"}:
        return None
    after = {**(edit.old or {}), **edit.values}
    given = [after.get(name) is not None for name in ("purchased_by_id", "purchased_at")]
    if all(given) if after.get("purchased") else not any(given):
        return None
    return Refusal("check_failed", "who purchased and when belong together, and to purchased", "/purchased")


def is_named(column: str) -> Check:
    """A check that ``column``, where it is given, says something."""

    def check(edit: Edit) -> Refusal | None:
        value = edit.values.get(column)
        if isinstance(value, str) and not value.strip():
            return Refusal("check_failed", f"{column} says something", f"/{column}")
        return None

    return check


JOB: Final[Sequence[Check]] = (status_may_follow, dates_are_in_order, is_named("title"))
MATERIAL: Final[Sequence[Check]] = (quantity_is_positive, purchase_fits, is_named("item_name"))
CUSTOMER: Final[Sequence[Check]] = (is_named("name"), is_named("address"))

CHECKS: Final[Mapping[str, Sequence[Check]]] = {"crm.job": JOB, "crm.material": MATERIAL, "crm.customer": CUSTOMER}
"""Resource type → its rules: what a replica takes."""
