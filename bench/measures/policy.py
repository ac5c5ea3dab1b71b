"""What row-level security costs: the same pulls and pushes with a policy on the table and without, in turns.

The policy is of the shape that applications use: a column of the row compared with what is the same for the whole
statement, here the teams of the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench.figures import Figure, Spent
from bench.load import drive
from bench.measures.pull import prepare as prepare_pull
from bench.measures.push import prepare as prepare_push
from bench.meter import Meter
from bench.plan import Bench

PAGE = 5000
PUSHED = 2000
CASES = {"without a policy": "DISABLE", "with a policy": "ENABLE"}

POLICY = """
CREATE POLICY team_of_the_caller ON bench.items USING (team_id = ANY (ARRAY(
    SELECT m.team_id FROM bench.members AS m WHERE m.user_id = (SELECT homing.current_user_id()))))
"""


def policy(bench: Bench) -> Iterator[Figure]:
    homing = bench.homing
    if homing is None:
        return
    homing.run(POLICY)
    spent = {(measure, case): Spent() for measure in ("fresh pull", "push") for case in CASES}
    for number in range(bench.plan.rounds + 1):
        for case in sorted(CASES, reverse=bool(number % 2)):
            homing.run(f"ALTER TABLE bench.items {CASES[case]} ROW LEVEL SECURITY")
            count = homing.count()
            with Meter({"server": homing.pid, "PostgreSQL": bench.cluster.pid}) as meter:
                leg = drive(1, partial(prepare_pull, homing, PAGE))
            if leg.results[0].changes != count:
                raise SystemExit(f"{case}: {leg.results[0].changes} rows pulled of {count}")
            seeds = [next(bench.seeds)]
            with Meter({"server": homing.pid, "PostgreSQL": bench.cluster.pid}) as pushing:
                pushed = drive(1, partial(prepare_push, homing, seeds, PUSHED))
            if number:  # the first round warms up
                spent["fresh pull", case].add(count, leg.seconds, meter.cpu)
                spent["push", case].add(PUSHED, pushed.seconds, pushing.cpu)
    homing.run("ALTER TABLE bench.items DISABLE ROW LEVEL SECURITY; DROP POLICY team_of_the_caller ON bench.items")
    for (measure, case), each in spent.items():
        yield each.rate(f"row-level security: {measure}", case, "homing", {})
        yield each.cpu(f"row-level security: {measure}", case, "homing")
