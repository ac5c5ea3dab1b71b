"""Who is told of what happens to proposals, and who of a new job: by a job enqueued in the transaction of the cause.

The hooks that run in the transaction only say what happened, with one statement a kind however large the batch was; the
job finds the people. What is told are ids and fixed words (``homing.notify``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from homing.declare import Edit, Who
from homing.jobs import Job, Task, defer
from homing.notify import Kind, notify
from homing.postgres.sql import Connection, fetch_all, load
from homing.server.tenant import Tenant

TASK: Final = "marketplace.notices"

MATCHES_MAX: Final = 200
"""Freelancers told of one new job, those who share the most skills: a notification that everybody gets is noise."""


def _of_proposal(name: str, title: str, body: str, *, urgent: bool = True) -> Kind:
    return Kind(
        name=f"proposal_{name}",
        title=title,
        body=body,
        preference="proposalUpdates",
        ids=("proposal_id", "job_id"),
        urgent=urgent,
    )


PROPOSAL_RECEIVED = _of_proposal("received", "New proposal", "A freelancer sent a proposal for your job.")
PROPOSAL_SHORTLISTED = _of_proposal(
    "shortlisted", "You are on the shortlist", "A client put your proposal on the shortlist."
)
PROPOSAL_ACCEPTED = _of_proposal("accepted", "Proposal accepted", "A client accepted your proposal. The job is yours.")
PROPOSAL_REJECTED = _of_proposal(
    "rejected",
    "Proposal not accepted",
    "A job that you proposed for was given to somebody else, or is not offered any more.",
    urgent=False,
)
PROPOSAL_WITHDRAWN = _of_proposal(
    "withdrawn", "Proposal withdrawn", "A freelancer withdrew a proposal for your job.", urgent=False
)
JOB_MATCH = Kind(
    name="job_match",
    title="A job for you",
    body="A new job asks for your skills.",
    preference="jobMatches",
    ids=("job_id",),
    urgent=False,
)

TO_CLIENTS: Final = {kind.name: kind for kind in (PROPOSAL_RECEIVED, PROPOSAL_WITHDRAWN)}
TO_FREELANCERS: Final = {kind.name: kind for kind in (PROPOSAL_SHORTLISTED, PROPOSAL_ACCEPTED, PROPOSAL_REJECTED)}


async def tell_of_proposals(conn: Connection, edits: Sequence[Edit], _who: Who) -> None:
    """Of proposals that came, were decided or withdrawn, and of those that were rejected because another was
    accepted."""
    found: dict[str, set[str]] = {}
    begun: list[str] = []
    for edit in edits:
        assert edit.row_id is not None
        if edit.action == "create":
            found.setdefault(PROPOSAL_RECEIVED.name, set()).add(edit.row_id)
        status = _new_status(edit)
        if edit.action == "update" and status is not None:
            found.setdefault(f"proposal_{status}", set()).add(edit.row_id)
            if status == "accepted" and edit.old is not None:
                begun.append(edit.old["job_id"])
    if begun:
        found.setdefault(PROPOSAL_REJECTED.name, set()).update(await _rejected_along(conn, begun))
    for kind, ids in found.items():
        if ids:
            await defer(conn, TASK, kind=kind, ids=sorted(ids))


async def tell_of_jobs(conn: Connection, edits: Sequence[Edit], _who: Who) -> None:
    """Of jobs that are open now, whose skills they ask for; of jobs that were cancelled, who proposed."""
    opened, cancelled = [], []
    for edit in edits:
        assert edit.row_id is not None
        status = _new_status(edit)
        if status == "open" or (edit.action == "create" and status is None):
            opened.append(edit.row_id)
        elif status == "cancelled":
            cancelled.append(edit.row_id)
    if opened:
        await defer(conn, TASK, kind=JOB_MATCH.name, ids=sorted(opened))
    rejected = await _rejected_along(conn, cancelled) if cancelled else []
    if rejected:
        await defer(conn, TASK, kind=PROPOSAL_REJECTED.name, ids=sorted(rejected))


async def tell(tenant: Tenant, job: Job) -> None:
    """The job: notify the people behind ``ids`` of ``kind``, once."""
    kind, ids = job.args["kind"], [UUID(each) for each in job.args["ids"]]
    async with tenant.engine.owner.transaction() as conn:
        if not await job.once(conn):
            return
        if kind == JOB_MATCH.name:
            params = {"ids": ids, "most": MATCHES_MAX}
            for job_id, people in await fetch_all(conn, load(__package__, "match_freelancers"), params):
                await notify(conn, JOB_MATCH, user_ids=people, data={"job_id": job_id}, collapse=job_id)
            return
        for proposal, job_id, client, freelancer in await fetch_all(
            conn, load(__package__, "read_proposal_people"), {"ids": ids}
        ):
            person, found = (client, TO_CLIENTS[kind]) if kind in TO_CLIENTS else (freelancer, TO_FREELANCERS[kind])
            data = {"proposal_id": proposal, "job_id": job_id}
            await notify(conn, found, user_ids=[person], data=data, collapse=proposal)


NOTICES = Task(name=TASK, run=tell)


def _new_status(edit: Edit) -> str | None:
    """The status that an edit gives a row, None where it leaves it."""
    status = edit.values.get("status")
    if status is None or (edit.old is not None and edit.old.get("status") == status):
        return None
    return str(status)


async def _rejected_along(conn: Connection, jobs: Sequence[str]) -> list[str]:
    rows = await fetch_all(conn, load(__package__, "find_rejected_along"), {"jobs": [UUID(each) for each in jobs]})
    return [str(row[0]) for row in rows]
