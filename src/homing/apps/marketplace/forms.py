"""How rows are shown: to web clients whole, as they travel in a pull, with what a page shows beside them; to phones
that ask for it (``?platform=mobile``) condensed, with small pictures.

The web's form is the older one and never changes (``tests/apps/marketplace/test_compatibility.py``). A phone's leaves
out what only a page about one thing shows, and long texts are cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from homing.engine.tables import BoundTable
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, fetch_all
from homing.server.rows import read_rows, with_member
from homing.server.tenant import Tenant

PACKAGE: Final = "homing.apps.marketplace"

Form = Literal["web", "mobile"]
Platform = Annotated[
    Form, QueryParameter(description="`mobile`: condensed, with small pictures. Otherwise as for web pages.")
]

JOB_ON_PHONES: Final = frozenset(
    {"id", "client_id", "title", "budget_kind", "budget_min_cents", "budget_max_cents", "currency", "status",
     "created_at"}
)  # fmt: skip
PROFILE_ON_PHONES: Final = frozenset(
    {"id", "user_id", "kind", "name", "headline", "hourly_rate_cents", "currency", "is_available"}
)
PROPOSAL_ON_PHONES: Final = frozenset(
    {"id", "job_id", "freelancer_id", "amount_cents", "currency", "estimated_days", "status", "created_at"}
)


def table_of(tenant: Tenant, resource_type: str) -> BoundTable:
    """The table of ``job``, ``profile``, …"""
    return tenant.engine.bound.by_resource_type[f"marketplace.{resource_type}"]


def image_url(image_id: UUID | None, form: Form) -> str | None:
    """Where a picture is, in the size that a form shows."""
    variant = "thumb" if form == "mobile" else "medium"
    return None if image_id is None else f"/api/v1/mobile/media/{image_id}?variant={variant}"


async def show_jobs(
    conn: Connection, tenant: Tenant, ids: Sequence[UUID], *, user: UUID, form: Form
) -> dict[UUID, msgspec.Raw]:
    """Jobs by id. Both forms have ``image_url`` and ``is_saved``; the web's ``client`` and ``proposal_count``, a
    phone's ``client_name``, ``summary`` and the first five ``skills``."""
    rows = await _rows(conn, table_of(tenant, "job"), ids, form, JOB_ON_PHONES)
    shown = {}
    for row_id, client, profile, avatar, image, saved, *more in await _beside(conn, "show_jobs", ids, form, user=user):
        members: dict[str, Any] = {"image_url": image_url(image, form), "is_saved": saved}
        if form == "web":
            members["client"] = {"name": client, "profile_id": profile, "avatar_url": image_url(avatar, form)}
            (members["proposal_count"],) = more
        else:
            members["client_name"] = client
            members["summary"], members["skills"] = more
        shown[row_id] = members
    return _together(rows, shown)


async def show_profiles(
    conn: Connection, tenant: Tenant, ids: Sequence[UUID], *, form: Form
) -> dict[UUID, msgspec.Raw]:
    """Profiles by id. Both forms have ``avatar_url``; a phone's has ``summary`` for ``bio``, and the first ten
    ``skills``."""
    rows = await _rows(conn, table_of(tenant, "profile"), ids, form, PROFILE_ON_PHONES)
    shown = {}
    for row_id, avatar, summary, skills in await _beside(conn, "show_profiles", ids, form):
        shown[row_id] = {"avatar_url": image_url(avatar, form)}
        if form == "mobile":
            shown[row_id] |= {"summary": summary, "skills": skills}
    return _together(rows, shown)


async def show_proposals(
    conn: Connection, tenant: Tenant, ids: Sequence[UUID], *, form: Form
) -> dict[UUID, msgspec.Raw]:
    """Proposals by id. Both forms have ``job_title``; the web's ``freelancer`` and ``client_name``, a phone's
    ``freelancer_name`` and ``summary`` for ``cover_letter``."""
    rows = await _rows(conn, table_of(tenant, "proposal"), ids, form, PROPOSAL_ON_PHONES)
    shown = {}
    for row_id, title, name, *more in await _beside(conn, "show_proposals", ids, form):
        members: dict[str, Any] = {"job_title": title}
        if form == "web":
            profile, avatar, members["client_name"] = more
            members["freelancer"] = {"name": name, "profile_id": profile, "avatar_url": image_url(avatar, form)}
        else:
            members["freelancer_name"] = name
            (members["summary"],) = more
        shown[row_id] = members
    return _together(rows, shown)


async def show_messages(conn: Connection, tenant: Tenant, ids: Sequence[UUID]) -> dict[UUID, msgspec.Raw]:
    """Messages by id, with ``sender_name`` and ``recipient_name``: the same for web and phones, a message is short."""
    rows = await _rows(conn, table_of(tenant, "message"), ids, "web", frozenset())
    beside = await _beside(conn, "show_messages", ids, None)
    names = {row_id: {"sender_name": sender, "recipient_name": recipient} for row_id, sender, recipient in beside}
    return _together(rows, names)


async def _rows(
    conn: Connection, table: BoundTable, ids: Sequence[UUID], form: Form, on_phones: frozenset[str]
) -> dict[UUID, msgspec.Raw]:
    return await read_rows(conn, table, ids, columns=on_phones if form == "mobile" else None) if ids else {}


async def _beside(
    conn: Connection, name: str, ids: Sequence[UUID], form: Form | None, **params: Any
) -> Sequence[tuple[Any, ...]]:
    if not ids:
        return []
    statement = load_with(PACKAGE, name, frozenset({form} if form is not None and name in _TWO_FORMS else ()))
    return await fetch_all(conn, statement, {"ids": list(ids), **params})


_TWO_FORMS: Final = frozenset({"show_jobs", "show_proposals"})


def _together(rows: Mapping[UUID, msgspec.Raw], beside: Mapping[UUID, Mapping[str, Any]]) -> dict[UUID, msgspec.Raw]:
    """Rows with what stands beside them. A row that was deleted between the two statements is not there any more."""
    shown = {}
    for row_id, row in rows.items():
        if row_id in beside:
            for name, value in beside[row_id].items():
                row = with_member(row, name, value)  # noqa: PLW2901 - it grows
            shown[row_id] = row
    return shown
