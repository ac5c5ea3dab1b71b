"""The rules of jobs, proposals, profiles and messages, as pure functions of an edit: the server's checks, and a
replica's (``Replica(path, checks=rules.CHECKS)``), so that a phone says at once what the server would say hours later.
The database has the last word: its CHECKs and triggers hold for every writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from homing.declare import Edit, Refusal
from homing.declare.edits import Check

TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "draft": frozenset({"open", "cancelled"}),
    "open": frozenset({"in_progress", "cancelled"}),
    "in_progress": frozenset({"completed", "cancelled"}),
    "completed": frozenset(),
    "cancelled": frozenset(),
}
"""Status of a job → what may come next; the same as the rows of ``marketplace.job_transitions``."""

UNDECIDED: Final = frozenset({"submitted", "shortlisted"})
"""Of proposals: still to be decided. Whatever else one is, it stays."""

SKILLS_MAX: Final = 50
TEXT_BYTES_MAX: Final = 64 * 2**10
"""A long letter, many times over: a page of changes must stay a page."""


def status_may_follow(edit: Edit) -> Refusal | None:
    """A job goes along TRANSITIONS, begins as a draft or open, and is begun by accepting a proposal only."""
    status = edit.values.get("status")
    if status is None:
        return None
    if not isinstance(status, str) or status not in TRANSITIONS:
        return Refusal("check_failed", f"status is one of {', '.join(TRANSITIONS)}", "/status")
    if edit.action == "create":
        fits = status in ("draft", "open")
        return None if fits else Refusal("check_failed", "a job begins as a draft or open", "/status")
    before = None if edit.old is None else edit.old.get("status")
    if before == status or not isinstance(before, str) or before not in TRANSITIONS:
        return None
    if status not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing else"
        return Refusal(
            "check_failed", f"a job that is {before} cannot become {status}; it can become {allowed}", "/status"
        )
    if status == "in_progress":
        return Refusal("check_failed", "a job is begun by accepting a proposal", "/status")
    return None


def budget_is_a_range(edit: Edit) -> Refusal | None:
    """The least is not more than the most."""
    if not edit.values.keys() & {"budget_min_cents", "budget_max_cents"}:
        return None
    after = {**(edit.old or {}), **edit.values}
    least, most = after.get("budget_min_cents"), after.get("budget_max_cents")
    try:
        if least is None or most is None or int(least) <= int(most):
            return None
    except (TypeError, ValueError, OverflowError):
        return Refusal("invalid_value", "a budget is in whole cents", "/budget_min_cents")
    path = "/budget_max_cents" if "budget_max_cents" in edit.values else "/budget_min_cents"
    return Refusal("check_failed", f"the budget would be from {least} to {most}", path)


def stays_decided(edit: Edit) -> Refusal | None:
    """What was accepted, rejected or withdrawn is so."""
    status = None if edit.old is None else edit.old.get("status")
    if edit.action != "update" or not isinstance(status, str) or status in UNDECIDED:
        return None
    return Refusal("check_failed", f"a proposal that is {status} stays as it is", "/status")


def skills_are_skills(edit: Edit) -> Refusal | None:
    """A bounded list of names."""
    skills = edit.values.get("skills")
    if not isinstance(skills, list):
        return None
    if len(skills) > SKILLS_MAX:
        return Refusal("too_large", f"at most {SKILLS_MAX} skills can be named", "/skills")
    if any(not isinstance(skill, str) or not skill.strip() for skill in skills):
        return Refusal("check_failed", "a skill has a name", "/skills")
    return None


def is_readable(column: str, *, needed: bool = False) -> Check:
    """A check that ``column`` is not too long and, where it is ``needed``, says something."""

    def check(edit: Edit) -> Refusal | None:
        text = edit.values.get(column)
        if not isinstance(text, str):
            return None
        if needed and not text.strip():
            return Refusal("check_failed", f"{column} says something", f"/{column}")
        if len(text.encode(errors="replace")) > TEXT_BYTES_MAX:
            return Refusal("too_large", f"{column} may have {TEXT_BYTES_MAX} bytes", f"/{column}")
        return None

    return check


PROFILE: Final[Sequence[Check]] = (is_readable("name", needed=True), is_readable("bio"), skills_are_skills)
JOB: Final[Sequence[Check]] = (
    status_may_follow,
    budget_is_a_range,
    is_readable("title", needed=True),
    is_readable("description"),
    skills_are_skills,
)
PROPOSAL: Final[Sequence[Check]] = (stays_decided, is_readable("cover_letter"))
MESSAGE: Final[Sequence[Check]] = (is_readable("content", needed=True),)

CHECKS: Final[Mapping[str, Sequence[Check]]] = {
    "marketplace.profile": PROFILE,
    "marketplace.job": JOB,
    "marketplace.proposal": PROPOSAL,
    "marketplace.message": MESSAGE,
}
"""Resource type → its rules: what a replica takes."""
