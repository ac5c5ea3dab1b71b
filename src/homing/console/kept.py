"""A form that was refused is shown again as it was typed, with the reason at the field that it is about.

A handler gives ``Kept`` to ``render``, and that is all: ``ui.field`` finds there what stood in it and what is said
about it, the layout shows the reason once for the whole page, and a dialog (``ui.confirm``) that the form was in is
open again. So no page copies its fields one by one, and none forgets one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from homing.console.forms import Form
from homing.protocol.errors import Problem

_BEGINS = re.compile(r"([a-z_]+)(?::| is | must | may )")
_ENDS = re.compile(r" - at `\$\.([a-z_]+)[^`]*`$")
"""How a refusal names its member where it has no path: ours at the beginning, msgspec at the end."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was sent, and why it was refused. ``dialog``: the id of the dialog that it was typed in. ``names``: the
    form's names of members that are called otherwise where they are checked, or of what a code is always about."""

    form: Form
    problem: Problem
    dialog: str | None = None
    names: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> int:
        """To a browser the request was fine, and what stands in the fields is not."""
        found = self.problem.code.status or 422
        return 422 if found == 400 else found

    @property
    def field(self) -> str | None:
        """The form's field that the refusal is about, where it is about one."""
        found = member_of(self.problem) or self.problem.code.code
        found = dict(self.names).get(found, found)
        return found if found in self.form.fields else None

    @property
    def sentence(self) -> str:
        """The reason, without the place that ``field`` says already."""
        return _ENDS.sub("", self.problem.detail)

    def value(self, name: str, usual: Any) -> Any:
        """What was typed; ``usual`` in the fields of the page's other forms."""
        found = self.form.fields.get(name)
        return found[0] if found else usual

    def error(self, name: str) -> str | None:
        return self.sentence if name == self.field else None


def member_of(problem: Problem) -> str | None:
    """The member of the body, or column of the row, that a refusal is about."""
    path = problem.extra.get("path")
    if isinstance(path, str):
        parts = path.strip("/").split("/")
        return parts[parts[0] == "payload" :][0] if parts[-1] else None
    found = _BEGINS.match(problem.detail) or _ENDS.search(problem.detail)
    return found[1] if found else None
