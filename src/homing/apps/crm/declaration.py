"""What of the CRM syncs, to whom, who writes what, and how edits merge."""

from __future__ import annotations

from homing.apps.crm import rules
from homing.apps.crm.assignments import may_be_assigned
from homing.apps.crm.purchases import note_purchase
from homing.declare import App, by_field, last_write_wins, may, only
from homing.media import Store

JOB = ("title", "description", "customer_id", "status", "start_date", "end_date", "notes")
MATERIAL = ("item_name", "quantity", "unit", "purchased", "notes")


def declare(_store: Store) -> App:
    """The application. It keeps no files, so the store is not used."""
    crm = App("crm", title="Contractor CRM", migrations="homing.apps.crm")

    crm.scope("office", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s AND role = 'OWNER'")
    crm.scope("job", held_by="SELECT job_id FROM crm.job_assignments WHERE user_id = %(user)s")
    # An array, not a join: where others have very many jobs, a join walks over all jobs of the company.
    crm.scope(
        "customer",
        held_by="""SELECT j.customer_id FROM crm.jobs j
                   WHERE j.id = ANY (ARRAY(SELECT a.job_id FROM crm.job_assignments a WHERE a.user_id = %(user)s))""",
    )

    crm.table(
        "customers",
        in_scopes={"office": "'all'", "customer": "id"},
        write={
            "OWNER": may(
                create=("name", "phone", "email", "address", "notes"),
                update=("name", "phone", "email", "address", "notes", "is_archived"),
                delete=True,
            )
        },
        checks=rules.CUSTOMER,
        soft_delete="is_archived",
    )
    crm.table(
        "jobs",
        in_scopes={"office": "'all'", "job": "id"},
        write={"OWNER": may(create=JOB, update=JOB, delete=True), "WORKER": only("status", "notes")},
        checks=rules.JOB,
        fill={"created_by_id": "%(user)s::uuid", "updated_by_id": "%(user)s::uuid"},
        hide=("updated_by_id",),
    )
    crm.table(
        "job_assignments",
        in_scopes={"office": "'all'", "job": "job_id"},
        write={"OWNER": may(create=("job_id", "user_id"), delete=True)},
        prepare=[may_be_assigned],
    )
    # Who and when are the server's to say; they go with the tick, so the same edit decides all three.
    crm.table(
        "materials",
        in_scopes={"office": "'all'", "job": "job_id"},
        write={
            "OWNER": may(create=("job_id", *MATERIAL), update=("job_id", *MATERIAL, "is_deleted"), delete=True),
            "WORKER": may(create=("job_id", *MATERIAL), update=MATERIAL, delete=True),
        },
        merge=by_field(
            purchased=last_write_wins,
            purchased_by_id=last_write_wins,
            purchased_at=last_write_wins,
            is_deleted=last_write_wins,
        ),
        prepare=[note_purchase],
        checks=rules.MATERIAL,
        fill={"added_by_id": "%(user)s::uuid"},
        soft_delete="is_deleted",
    )
    # Kept by triggers, for every writer.
    crm.table("job_status_history", in_scopes={"office": "'all'", "job": "job_id"}, write={"OWNER": may()})
    crm.table("job_activities", in_scopes={"office": "'all'", "job": "job_id"}, write={"OWNER": may()})
    return crm
