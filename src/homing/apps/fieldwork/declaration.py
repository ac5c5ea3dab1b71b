"""What of fieldwork syncs, to whom, who writes what, and how edits merge."""

from __future__ import annotations

from homing.apps.fieldwork.media import NamedUploads, attach_uploads, find_uploads
from homing.apps.fieldwork.rules import CHECKS
from homing.apps.fieldwork.submissions import judge
from homing.declare import ALL, App, by_field, last_write_wins, may, only, union
from homing.media import Store

ONLY_TEAM = """(SELECT (array_agg(m.team_id))[1] FROM fieldwork.team_members m WHERE m.user_id = %(user)s
                HAVING count(*) = 1)"""
"""The author's team where there is no doubt which; NULL for nobody's and for somebody of several."""


def declare(store: Store) -> App:
    """The application, with the store in which the files that submissions name are looked for."""
    fieldwork = App("fieldwork", title="Field data collection", migrations="homing.apps.fieldwork")

    fieldwork.scope("everyone", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s")
    fieldwork.scope("office", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s AND role = 'OWNER'")
    fieldwork.scope("team", held_by="SELECT team_id FROM fieldwork.team_members WHERE user_id = %(user)s")
    fieldwork.scope("author", held_by="SELECT id FROM homing.users WHERE id = %(user)s")

    fieldwork.table("teams", in_scopes={"office": "'all'", "team": "id"}, write={"OWNER": ALL})

    # A draft is the office's alone: the row reaches devices when it is published and leaves them when it is withdrawn.
    # Schemas are written through /forms only, where they are checked, so no role writes them here.
    fieldwork.table(
        "mobile_forms",
        in_scopes={"everyone": "CASE WHEN published THEN 'all' END"},
        write={"OWNER": may(update=("name",))},
        hide=("draft_schema",),
    )
    # Versions of withdrawn forms too: somebody may have filled one in before the news reached the island.
    fieldwork.table("form_versions", in_scopes={"everyone": "'all'"}, write={"OWNER": may()})

    fieldwork.table(
        "submissions",
        in_scopes={"office": "'all'", "team": "team_id", "author": "author_id"},
        write={
            "OWNER": ALL,
            "WORKER": may(
                create=("form_id", "form_version", "data", "metadata", "team_id", "media"),
                update=("data", "metadata", "media"),
            ),
        },
        merge=by_field(metadata=last_write_wins),
        prepare=[judge, find_uploads(store)],
        checks=CHECKS["fieldwork.submission"],
        effects=[attach_uploads],
        fill={
            "author_id": "%(user)s::uuid",
            "device_id": "%(device)s::uuid",
            "team_id": ONLY_TEAM,
        },
        named={"form_id": "SELECT f.code, f.id FROM fieldwork.mobile_forms f WHERE f.code = ANY (%(names)s)"},
        extra={"media": NamedUploads},
        hide=("place",),
    )
    # Rows are made from the uploads that a submission names, never pushed: each is checked against the store first.
    fieldwork.table(
        "submission_media",
        in_scopes={"office": "'all'", "team": "team_id", "author": "author_id"},
        write={"OWNER": may(update=("gps", "captured_at", "filename"), delete=True)},
    )

    fieldwork.table(
        "meters",
        in_scopes={"office": "'all'", "team": "team_id"},
        write={"OWNER": ALL, "WORKER": only("reading", "read_at", "notes", "tags")},
        merge=by_field(notes=last_write_wins, tags=union),
    )
    return fieldwork
