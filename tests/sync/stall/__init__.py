"""A second application beside the shop, with a table of the same name."""

from typing import Any

from homing.declare import ALL, App

ROUTES: list[Any] = []


def declare(_store: Any) -> App:
    app = App("stall", migrations="tests.sync.stall")
    app.scope("everybody", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s")
    app.table("goods", in_scopes={"everybody": "'all'"}, write={"WORKER": ALL, "OWNER": ALL})
    app.table("tickets", in_scopes={"everybody": "'all'"}, write={"WORKER": ALL, "OWNER": ALL})
    return app
