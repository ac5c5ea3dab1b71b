"""What of the marketplace syncs, to whom, who writes what, and how edits merge.

There are no roles of its own: whoever is signed in may offer work and look for it, and a profile says which they do. So
rights are the same for everybody, and the hooks ask whose row it is. The office (OWNER) may do everything.
"""

from __future__ import annotations

from homing.apps.marketplace import rules
from homing.apps.marketplace.jobs import may_write_jobs
from homing.apps.marketplace.messages import may_send_and_read
from homing.apps.marketplace.notices import tell_of_jobs, tell_of_proposals
from homing.apps.marketplace.profiles import SERVER_OWNED, may_write_profiles
from homing.apps.marketplace.proposals import STATUS, TERMS, may_write_proposals
from homing.declare import (
    ALL,
    ANYONE,
    App,
    Rate,
    by_field,
    by_version,
    furthest,
    last_write_wins,
    may,
    server_wins,
    union,
)
from homing.media import Store

# The spec's: requests in 15 minutes, of a person on one platform.
RATES = {"web": Rate(100, 900), "mobile": Rate(200, 900)}

PROFILE = ("kind", "name", "headline", "bio", "skills", "hourly_rate_cents", "currency", "location", "is_available",
           "is_listed", "avatar_id")  # fmt: skip
JOB = ("title", "description", "skills", "budget_kind", "budget_min_cents", "budget_max_cents", "currency", "status",
       "image_id")  # fmt: skip


def declare(_store: Store) -> App:
    """The application. Its pictures are named by id, and verified when they are made, so the store is not used here."""
    market = App("marketplace", title="Marketplace", migrations="homing.apps.marketplace", rates=RATES)

    market.scope("everyone", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s")
    market.scope("office", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s AND role = 'OWNER'")
    market.scope("person", held_by="SELECT id FROM homing.users WHERE id = %(user)s")
    # What somebody saved or sent a proposal for. A phone holds these, and not the hundred thousand others.
    market.scope(
        "followed",
        held_by="""SELECT job_id FROM marketplace.saved_jobs WHERE user_id = %(user)s
                   UNION SELECT job_id FROM marketplace.proposals WHERE freelancer_id = %(user)s""",
    )
    # Who somebody has to do with: the other side of proposals, of jobs that are saved, and of messages.
    market.scope(
        "partner",
        held_by="""SELECT id FROM homing.users WHERE id = %(user)s
                   UNION SELECT client_id FROM marketplace.proposals WHERE freelancer_id = %(user)s
                   UNION SELECT freelancer_id FROM marketplace.proposals WHERE client_id = %(user)s
                   UNION SELECT j.client_id FROM marketplace.jobs j WHERE j.id = ANY (ARRAY(
                       SELECT s.job_id FROM marketplace.saved_jobs s WHERE s.user_id = %(user)s))
                   UNION SELECT partner_id FROM marketplace.correspondents WHERE user_id = %(user)s""",
    )

    # The spec's profile merge. What is the server's alone may be sent, as a phone sends the whole profile back, and is
    # left out: not only where it was changed here too, which is all that a policy decides.
    market.table(
        "profiles",
        in_scopes={"office": "'all'", "partner": "user_id"},
        write={
            "OWNER": may(create=("user_id", *PROFILE, *SERVER_OWNED), update=(*PROFILE, *SERVER_OWNED), delete=True),
            ANYONE: may(create=(*PROFILE, *SERVER_OWNED), update=(*PROFILE, *SERVER_OWNED)),
        },
        merge=by_field(last_write_wins, skills=union, **dict.fromkeys(SERVER_OWNED, server_wins)),
        prepare=[may_write_profiles],
        checks=rules.PROFILE,
        fill={"user_id": "%(user)s::uuid"},
        public="is_listed",
    )
    market.table(
        "jobs",
        in_scopes={"office": "'all'", "person": ("client_id", "freelancer_id"), "followed": "id"},
        write={"OWNER": ALL, ANYONE: may(create=JOB, update=JOB)},
        merge=by_field(skills=union),
        prepare=[may_write_jobs],
        checks=rules.JOB,
        effects=[tell_of_jobs],
        fill={"client_id": "%(user)s::uuid"},
        public="status = 'open'",
    )
    # The spec's optimistic locking: a proposal is a contract in the making, and nobody accepts what they have not read.
    # client_id is the job's, put there by the database.
    market.table(
        "proposals",
        in_scopes={"office": "'all'", "person": ("freelancer_id", "client_id")},
        write={"OWNER": ALL, ANYONE: may(create=("job_id", *TERMS), update=(*TERMS, *STATUS))},
        merge=by_version(),
        prepare=[may_write_proposals],
        checks=rules.PROPOSAL,
        effects=[tell_of_proposals],
        fill={"freelancer_id": "%(user)s::uuid", "client_id": "NULL::uuid"},
    )
    # Letters and lists are their people's, not the office's.
    market.table(
        "saved_jobs",
        in_scopes={"person": "user_id"},
        write={ANYONE: may(create=("job_id", "note"), update=("note",), delete=True)},
        merge=by_field(note=last_write_wins),
        fill={"user_id": "%(user)s::uuid"},
    )
    market.table(
        "messages",
        in_scopes={"person": ("sender_id", "recipient_id")},
        write={ANYONE: may(create=("recipient_id", "job_id", "content"), update=("is_read",))},
        merge=by_field(is_read=furthest(False, True)),
        prepare=[may_send_and_read],
        checks=rules.MESSAGE,
        fill={"sender_id": "%(user)s::uuid"},
    )
    market.table(
        "offline_cache_metadata",
        in_scopes={"everyone": "'all'"},
        write={"OWNER": ALL},
        merge=by_field(last_write_wins),
    )
    return market
