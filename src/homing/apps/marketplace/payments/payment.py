"""Payments as they are shown."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from homing.apps.marketplace.payments.gateway import Status
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, load
from homing.protocol.errors import Problem
from homing.server.pages import Page, page_of, read_cursor


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """``amount`` in the currency's minor units; ``refunded`` of it went
    back, or is about to. ``error`` is why the last attempt failed, or why it was canceled."""

    id: UUID
    proposal_id: UUID
    job_id: UUID
    client_id: UUID
    freelancer_id: UUID
    amount: int
    refunded: int
    currency: str
    status: Status
    gateway: str
    gateway_id: str | None
    error: str | None
    created_at: datetime
    settled_at: datetime | None


async def read_payment(conn: Connection, payment: UUID, *, user: UUID | None) -> Payment:
    """One payment; with ``user``, only where they pay or are paid. Raises Problem("not_found")."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "read_payment"), {"payment": payment, "user": user})
        row = await cursor.fetchone()
    if row is None:
        raise Problem("not_found")
    return Payment(**row)


async def list_payments(conn: Connection, *, user: UUID | None, after: str | None, limit: int) -> Page[Payment]:
    """Payments, the newest first; with ``user``, those they pay or are paid. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[datetime, UUID])
    at, after_id = place or (None, None)
    params = {"user": user, "after_at": at, "after_id": after_id, "limit": limit + 1}
    query = load_with(
        __package__,
        "list_payments" if user is None else "list_own_payments",
        frozenset() if place is None else frozenset({"after"}),
    )
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, params)
        found = [Payment(**row) for row in await cursor.fetchall()]
    return page_of(found, limit=limit, place=lambda each: (each.created_at, each.id))
