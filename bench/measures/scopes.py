"""One user who holds very many scopes, each with a few rows: the price of asking for all of them, again and again.

Then one scope more, and one less: what entered and what left must be in the next pull, and nothing else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.contenders import Pulled, pull
from bench.contenders.homing import Homing, HomingClient, User
from bench.figures import Figure, milliseconds
from bench.plan import Bench
from bench.rows import GENERATED, rows

PAGE = 1000
FIRST_TEAM = 1 << 96
# With ids of its own: those of the generated rows are the same for every team.
FILL = f"""
INSERT INTO bench.items (id, team_id, title, status, quantity, notes, updated_at)
SELECT gen_random_uuid(), t.team, r.title, r.status, r.quantity, r.notes, r.updated_at
FROM unnest(%(teams)s::uuid[]) AS t (team) CROSS JOIN ({GENERATED}) AS r
"""
TOUCH = """
UPDATE bench.items SET quantity = quantity + 1
WHERE id IN (SELECT id FROM bench.items WHERE team_id = ANY (%(teams)s) LIMIT 3)
"""
LEAVE = "DELETE FROM bench.members WHERE user_id = %(user)s AND team_id = %(team)s"
ENTER = "INSERT INTO bench.members (user_id, team_id) VALUES (%(user)s, %(team)s)"


@dataclass
class _Wide:
    """The user with the many scopes, a device that writes and one that reads, and what the reading one holds."""

    homing: Homing
    user: User
    teams: list[uuid.UUID]
    writer: HomingClient
    reader: HomingClient
    token: str | None = None
    held: dict[str, int] = field(default_factory=dict)

    def pull(self, page: int = PAGE) -> tuple[Pulled, float]:
        """What came, and the seconds it took."""
        start = time.perf_counter()
        pulled = pull(self.reader, self.token, page, held=self.held)
        seconds = time.perf_counter() - start
        self.token = pulled.token
        return pulled, seconds

    def pull_all(self) -> tuple[Pulled, float]:
        self.token = None
        self.held.clear()
        return self.pull(5000)

    def correct(self) -> bool:
        return self.held == self.homing.rows(self.user)


def scopes(bench: Bench) -> Iterator[Figure]:
    if bench.homing is None:
        return
    count = bench.plan.scopes
    user = wide_user(bench.homing, count, bench.plan.rows_per_scope)
    wide = _Wide(bench.homing, user, _teams(count), user.client(0), user.client(1))
    for figures in (_fresh(bench, wide), _deltas(bench, wide), _grants(bench, wide, _teams(count + 1)[count])):
        yield from figures


def wide_user(homing: Homing, scopes: int, rows_per_scope: int) -> User:
    """A user with two devices who holds ``scopes`` teams, each with its rows. One team more has rows and nobody."""
    homing.run(FILL, {"teams": _teams(scopes + 1), "rows": rows_per_scope})
    homing.run("VACUUM ANALYZE bench.items")
    user = homing.user("wide", devices=2, teams=_teams(scopes))
    homing.run("VACUUM ANALYZE bench.members")
    return user


def _teams(count: int) -> list[uuid.UUID]:
    return [uuid.UUID(int=FIRST_TEAM + number) for number in range(count)]


def _fresh(bench: Bench, wide: _Wide) -> Iterator[Figure]:
    rates = []
    for _ in range(bench.plan.rounds):
        pulled, seconds = wide.pull_all()
        rates.append(round(pulled.changes / seconds, 1))
    yield Figure(
        measure=f"{len(wide.teams):,} scopes held",
        case=f"fresh pull of {len(wide.held):,} rows, pages of 5,000",
        contender="homing",
        unit="items/s",
        better="higher",
        rounds=rates,
        extra={"token bytes": len(wide.token or ""), "correct": wide.correct()},
    )


def _deltas(bench: Bench, wide: _Wide) -> Iterator[Figure]:
    taken: dict[str, list[float]] = {"write of one row": []}
    for row in rows(bench.plan.samples, seed=next(bench.seeds)):
        start = time.perf_counter()
        wide.writer.write(row)
        taken["write of one row"].append(time.perf_counter() - start)
        for case, expected in (("delta of one row", 1), ("delta of three rows", 3), ("empty delta", 0)):
            if expected == 3:
                wide.homing.run(TOUCH, {"teams": wide.teams})
            pulled, seconds = wide.pull()
            taken.setdefault(case, []).append(seconds)
            if pulled.changes != expected:
                raise SystemExit(f"{case} with {len(wide.teams)} scopes: {pulled.changes} changes, not {expected}")
    yield from _latencies(wide, taken, correct=wide.correct())


def _grants(bench: Bench, wide: _Wide, spare: uuid.UUID) -> Iterator[Figure]:
    cases = {"delta after a scope was entered": ENTER, "delta after a scope was left": LEAVE}
    taken: dict[str, list[float]] = {case: [] for case in cases}
    correct = True
    for _ in range(bench.plan.rounds):
        for case, statement in cases.items():
            wide.homing.run(statement, {"user": wide.user.id, "team": spare})
            pulled, seconds = wide.pull()
            taken[case].append(seconds)
            correct = correct and wide.correct() and pulled.changes == bench.plan.rows_per_scope
    yield from _latencies(wide, taken, correct=correct)


def _latencies(wide: _Wide, taken: dict[str, list[float]], *, correct: bool) -> Iterator[Figure]:
    for case, seconds in taken.items():
        yield Figure(
            measure=f"{len(wide.teams):,} scopes held",
            case=case,
            contender="homing",
            unit="ms p50",
            better="lower",
            rounds=[milliseconds(seconds, 0.5)],
            extra={"p99 ms": milliseconds(seconds, 0.99), "correct": correct},
        )
