"""What of messaging syncs, to whom, who writes what, and how edits merge."""

from __future__ import annotations

from homing.apps.messaging.messages import STATES, may_send_and_read
from homing.apps.messaging.rules import CHECKS
from homing.declare import ANYONE, App, by_field, furthest, may
from homing.media import Store
from homing.postgres.sql import load


def declare(_store: Store) -> App:
    """The application. It keeps no files, so the store is not used."""
    messaging = App("messaging", title="Messaging", migrations="homing.apps.messaging")

    messaging.scope("person", held_by="SELECT id FROM homing.users WHERE id = %(user)s")
    # Names on devices: a phone may be lost, so it knows the office and whom it wrote with. Web users pick from all.
    messaging.scope(
        "directory",
        held_by="""SELECT 'web' FROM homing.users WHERE id = %(user)s
                   UNION ALL SELECT 'mobile' FROM homing.users WHERE id = %(user)s AND user_type = 'web'""",
    )
    messaging.scope(
        "partner",
        held_by="""SELECT c.partner_id FROM messaging.conversations c
                   JOIN homing.users u ON u.id = c.user_id AND u.user_type = 'mobile' WHERE c.user_id = %(user)s
                   UNION SELECT id FROM homing.users WHERE id = %(user)s""",
    )

    messaging.table("contacts", in_scopes={"directory": "user_type", "partner": "id"}, write={"OWNER": may()})
    # Nobody is named as the sender of what somebody else wrote, not even by the office: it is filled in, never given.
    # And what was said stays said: of a message that is sent only the status changes.
    messaging.table(
        "messages",
        in_scopes={"person": ("sender_id", "recipient_id")},
        write={ANYONE: may(create=("recipient_id", "content"), update=("status",))},
        merge=by_field(status=furthest(*STATES)),
        prepare=[may_send_and_read],
        checks=CHECKS["messaging.message"],
        fill={"sender_id": "%(user)s::uuid"},
        on_ack=load(__package__, "mark_synced"),
    )
    return messaging
