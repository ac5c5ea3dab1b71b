"""What an application's hooks see: edits on their way into the database, and the person behind them.

Hooks of a table, in the order they run:

``prepare(conn, edits, who)``  async, once a batch: look things up, complete values, or refuse. May change ``values``.
``checks``                     pure functions ``(edit) -> Refusal | None``, called once an edit, after merging.
``effects(conn, edits, who)``  async, once a batch, after the rows are written, in the same transaction. May refuse:
                               then the batch is done again item by item, and only what was refused is not applied.

``conn`` is a psycopg AsyncConnection inside the batch's transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an edit is not applied: a code of the catalogue, a sentence a person can act on, and where."""

    code: str
    message: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Who:
    """The person and device behind a batch. ``device_id`` is the id in homing.mobile_devices; None for the web."""

    user_id: UUID
    role: str
    device_id: UUID | None = None


@dataclass(slots=True, eq=False)
class Edit:
    """One create, update or delete of one row.

    ``values`` holds wire values (what JSON holds) of the columns being written; after merging, of an update, those
    that will be written. ``old`` is the row as it stands, wire values by column (None on create). ``extra`` holds the
    declared members of the payload that are no columns. ``edited_at`` is the time of edit, corrected for the device's
    clock and never in the future.
    """

    table: str
    action: Literal["create", "update", "delete"]
    row_id: str | None
    values: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    old: dict[str, Any] | None = None
    index: int = 0
    edited_at: datetime | None = None
    refusal: Refusal | None = None

    def refuse(self, code: str, message: str, path: str | None = None) -> None:
        """Refuse this edit; the first refusal stands."""
        if self.refusal is None:
            self.refusal = Refusal(code, message, path)


Hook = Callable[[Any, Sequence[Edit], Who], Awaitable[None]]
Check = Callable[[Edit], Refusal | None]
