"""The application that Homing serves in the benchmark, declared as an ordinary one is."""

from __future__ import annotations

from homing.declare import ALL, App, by_field, last_write_wins
from homing.media import Store


def declare(_store: Store) -> App:
    """One table of tasks, which a team's members hold and write."""
    app = App("bench", title="Benchmark", migrations="bench")
    app.scope("team", held_by="SELECT team_id FROM bench.members WHERE user_id = %(user)s")
    app.table(
        "items",
        in_scopes={"team": "team_id"},
        write={"OWNER": ALL, "WORKER": ALL},
        merge=by_field(notes=last_write_wins),
    )
    return app
