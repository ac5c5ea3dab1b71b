"""Who may write what: one ``Rights`` per role and table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


class _All:
    """Every column that can be written at all."""

    def __contains__(self, column: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "ALL"


EVERY_COLUMN: Final = _All()
ANYONE: Final = "*"
"""In place of a role: whoever is signed in and whose role is not named."""
Columns = frozenset[str] | _All


@dataclass(frozen=True, slots=True)
class Rights:
    """Columns a role may set on create and on update (None: the action is not allowed), and whether it may delete."""

    create: Columns | None
    update: Columns | None
    delete: bool


ALL: Final = Rights(create=EVERY_COLUMN, update=EVERY_COLUMN, delete=True)
"""Create, update and delete, every column."""


def only(*columns: str) -> Rights:
    """Update these columns; neither create nor delete."""
    return Rights(create=None, update=frozenset(columns), delete=False)


def may(
    *,
    create: tuple[str, ...] | Rights | None = None,
    update: tuple[str, ...] | Rights | None = None,
    delete: bool = False,
) -> Rights:
    """Rights by action. ``ALL`` in place of a tuple of columns means every column."""

    def columns(given: tuple[str, ...] | Rights | None) -> Columns | None:
        if given is None:
            return None
        return EVERY_COLUMN if isinstance(given, Rights) else frozenset(given)

    return Rights(create=columns(create), update=columns(update), delete=delete)
