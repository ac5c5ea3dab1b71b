"""The application that the tests of sync run beside fieldwork: small, with one of everything a declaration can say."""

from collections.abc import Sequence
from typing import Any

from homing.declare import (
    ALL,
    App,
    Edit,
    Refusal,
    Who,
    by_field,
    client_wins,
    counter,
    furthest,
    last_write_wins,
    may,
    merged_by,
    server_wins,
    union,
)

ROUTES: list[Any] = []

SHELF = (
    *("id", "team_id", "name", "code", "size", "places", "rent", "height", "built", "closed"),
    *("plan", "mark", "tags", "lit", "paint"),
)


async def refused_by_prepare(_conn: Any, edits: Sequence[Edit], _who: Who) -> None:
    for edit in edits:
        if edit.values.get("title") == "refused by prepare":
            edit.refuse("check_failed", "prepare does not like this title", "/title")


def refused_by_check(edit: Edit) -> Refusal | None:
    if edit.values.get("title") == "refused by check":
        return Refusal("check_failed", "the check does not like this title", "/title")
    return None


async def print_labels(conn: Any, edits: Sequence[Edit], _who: Who) -> None:
    """An effect with traces of its own, which must be there once if the row is, and not at all if it is not."""
    named = [edit for edit in edits if "title" in edit.values]
    await conn.execute(
        "INSERT INTO shop.labels_printed SELECT * FROM unnest(%s::uuid[], %s::text[])",
        [[edit.row_id for edit in named], [edit.values["title"] for edit in named]],
    )
    for edit in edits:
        if edit.values.get("title") == "refused by effect":
            edit.refuse("check_failed", "the printer does not like this title", "/title")


def both_words(_base: Any, server: Any, client: Any) -> Any:
    return " + ".join(sorted({server, client}))


def declare(_store: Any) -> App:
    app = App("shop", migrations="tests.sync.shop")
    app.scope("office", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s AND role = 'OWNER'")
    app.scope("team", held_by="SELECT team_id FROM shop.members WHERE user_id = %(user)s")
    both = {"office": "'all'", "team": "team_id"}
    app.table(
        "shelves",
        in_scopes=both,
        write={"OWNER": ALL, "WORKER": may(create=SHELF, update=SHELF, delete=True)},
        resource_type="shelf",
    )
    app.table(
        "goods",
        in_scopes=both,
        write={"OWNER": ALL, "WORKER": ALL},
        merge=by_field(
            stock=counter,
            tags=union,
            stage=furthest("new", "shown", "sold"),
            note=last_write_wins,
            price=server_wins,
            colour=client_wins,
            label=merged_by(both_words),
        ),
        prepare=[refused_by_prepare],
        checks=[refused_by_check],
        effects=[print_labels],
        hide=("secret",),
        resource_type="good",
    )
    app.table("crates", in_scopes=both, write={"OWNER": ALL, "WORKER": ALL})
    app.table("parcels", in_scopes=both, write={"OWNER": ALL, "WORKER": ALL})
    app.table("aisles", in_scopes=both, write={"OWNER": ALL, "WORKER": ALL}, soft_delete="gone")
    app.table("memos", in_scopes={"office": "'all'"}, write={"OWNER": ALL, "WORKER": ALL})
    return app
