"""The application that Homing serves in the benchmark, declared as an ordinary one is."""

from __future__ import annotations

from homing.declare import ALL, App, by_field, last_write_wins

bench = App("bench", title="Benchmark", migrations="bench")

bench.scope("team", held_by="SELECT team_id FROM bench.members WHERE user_id = %(user)s")

bench.table(
    "items",
    in_scopes={"team": "team_id"},
    write={"OWNER": ALL, "WORKER": ALL},
    merge=by_field(notes=last_write_wins),
)
