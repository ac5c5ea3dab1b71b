"""Which entries of the outbox travel next. Pure.

Not yet sent are

- an entry that names a row whose create has not succeeded and is not earlier in the same batch,
- an entry whose attached files are not uploaded,
- an entry of a row that has an earlier entry of either kind, or one without a final verdict.

Everything else passes them by: one stuck edit never holds up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry as the choice sees it.

    ``makes``: the temp id of the row it creates. ``unmet``: temp ids it names whose creates are not answered.
    ``waits``: for a file. ``unanswered``: it was sent and has no final verdict. ``together``: its group, if any.
    """

    op: str
    row: tuple[str, str]
    makes: str | None
    unmet: frozenset[str]
    waits: bool
    unanswered: bool
    together: str | None


def choose(candidates: Iterable[Candidate], *, size: int, group: Callable[[str], Sequence[Candidate]]) -> list[str]:
    """The ops of the next batch, in order; empty if nothing can be sent. ``group`` gives the members of a group."""
    chosen: list[str] = []
    made: set[str] = set()
    stuck: set[tuple[str, str]] = set()

    def sendable(candidate: Candidate, made: set[str]) -> bool:
        free = not (candidate.unanswered or candidate.waits) and candidate.row not in stuck
        return free and candidate.unmet <= made

    tried: set[str] = set()
    for candidate in candidates:
        if candidate.together is not None and not candidate.unanswered:
            if candidate.together not in tried and not chosen:
                tried.add(candidate.together)
                members = group(candidate.together)
                here: set[str] = set()
                for member in members:
                    if not sendable(member, here):
                        break
                    here.update(() if member.makes is None else (member.makes,))
                else:
                    return [member.op for member in members]
            stuck.add(candidate.row)
            continue
        if not sendable(candidate, made):
            stuck.add(candidate.row)
            continue
        chosen.append(candidate.op)
        if candidate.makes is not None:
            made.add(candidate.makes)
        if len(chosen) == size:
            break
    return chosen
