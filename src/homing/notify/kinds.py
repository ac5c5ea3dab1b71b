"""What people can be notified of.

A notification passes through other companies' servers and shows on locked screens. So its words are a kind's, written
once in the code of an application, and beside them it carries ids: nothing that somebody wrote can get into one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

Preference = Literal["jobMatches", "proposalUpdates", "paymentAlerts", "marketing"]
"""What people switch on and off (spec 4), as the API names it."""

Id = UUID | int

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
WORDS_MAX = 200
"""Characters of a title or body: more is cut off by every phone."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of notification, as a constant in an application's module.

    ``name`` is the ``notification_type`` that apps see, ``ids`` the names of the ids it carries (``proposal_id``).
    ``preference`` is the switch it obeys; None: it is always sent, as what concerns an account's safety.
    ``seconds`` is for how long it is worth delivering, ``urgent`` whether it wakes a sleeping phone.

    Raises ValueError for words that cannot be a kind's.
    """

    name: str
    title: str
    body: str
    preference: Preference | None
    ids: tuple[str, ...] = ()
    seconds: int = 24 * 3600
    urgent: bool = True

    def __post_init__(self) -> None:
        if not all(_NAME.fullmatch(name) for name in (self.name, *self.ids)):
            raise ValueError(f"{self.name}: a kind and its ids are named in small letters, digits and underscores")
        if not (0 < len(self.title) <= WORDS_MAX and 0 < len(self.body) <= WORDS_MAX):
            raise ValueError(f"{self.name}: title and body have 1 to {WORDS_MAX} characters")
        if self.preference is not None and self.preference not in get_args(Preference):
            raise ValueError(f"{self.name}: there is no preference {self.preference!r}")

    def carry(self, data: Mapping[str, Id]) -> dict[str, str]:
        """``data`` as it travels. Raises ValueError unless it is exactly this kind's ids, and each is an id: whoever
        calls this with anything else is about to send private text."""
        if set(data) != set(self.ids):
            raise ValueError(f"{self.name} carries {', '.join(self.ids) or 'nothing'}, not {', '.join(data)}")
        for name, value in data.items():
            if isinstance(value, bool) or not isinstance(value, UUID | int):
                raise ValueError(f"{self.name}: {name} is no id")
        return {name: str(value) for name, value in data.items()}
