"""Two texts side by side, line by line: what differs, and a few lines around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final

AROUND: Final = 3
ROWS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Line:
    """``kind``: same, changed, or gap, which stands for lines that are the same. A side without a line is None."""

    kind: str
    left: tuple[int, str] | None
    right: tuple[int, str] | None


def compare(left: Sequence[str], right: Sequence[str]) -> list[Line]:
    """The first ROWS_MAX rows; none where the texts are the same."""
    found: list[Line] = []
    for group in SequenceMatcher(None, left, right).get_grouped_opcodes(AROUND):
        if found or group[0][1] or group[0][3]:
            found.append(Line("gap", None, None))
        for tag, *places in group:
            found += _lines("same" if tag == "equal" else "changed", left, right, *places)
        if len(found) > ROWS_MAX:
            break
    return found[:ROWS_MAX]


def _lines(
    kind: str, left: Sequence[str], right: Sequence[str], left_at: int, left_end: int, right_at: int, right_end: int
) -> Iterator[Line]:
    before = [(at + 1, left[at]) for at in range(left_at, left_end)]
    after = [(at + 1, right[at]) for at in range(right_at, right_end)]
    for one, other in zip_longest(before, after):
        yield Line(kind, one, other)
