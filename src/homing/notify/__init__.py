"""Push notifications: to phones and browsers, by their vendors' protocols, from jobs.

An application names its kinds as constants and notifies people in the transaction that is the cause::

    PROPOSAL_ACCEPTED = Kind(
        name="proposal_accepted",
        title="Proposal accepted",
        body="A client accepted your proposal.",
        preference="proposalUpdates",
        ids=("proposal_id",),
    )

    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        ...
        await notify(conn, PROPOSAL_ACCEPTED, user_ids=[freelancer], data={"proposal_id": proposal_id})
"""

from homing.notify.kinds import Kind, Preference
from homing.notify.notify import notify

__all__ = ["Kind", "Preference", "notify"]
