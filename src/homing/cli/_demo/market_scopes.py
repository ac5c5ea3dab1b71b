"""What each person may see of the marketplace, in SQL of its own: nothing of the engine or the application is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

_PARTNERS = """(SELECT u.id FROM homing.users u WHERE u.id = %(user)s
    UNION SELECT p.client_id FROM marketplace.proposals p WHERE p.freelancer_id = %(user)s
    UNION SELECT p.freelancer_id FROM marketplace.proposals p WHERE p.client_id = %(user)s
    UNION SELECT j.client_id FROM marketplace.jobs j JOIN marketplace.saved_jobs s ON s.job_id = j.id
          WHERE s.user_id = %(user)s
    UNION SELECT m.sender_id FROM marketplace.messages m WHERE m.recipient_id = %(user)s
    UNION SELECT m.recipient_id FROM marketplace.messages m WHERE m.sender_id = %(user)s)"""

MARKET: Mapping[str, LiteralString] = {
    "profile": f"SELECT t.* FROM marketplace.profiles t WHERE t.user_id IN {_PARTNERS}",
    "job": """SELECT t.* FROM marketplace.jobs t WHERE %(user)s IN (t.client_id, t.freelancer_id)
        OR t.id IN (SELECT s.job_id FROM marketplace.saved_jobs s WHERE s.user_id = %(user)s)
        OR t.id IN (SELECT p.job_id FROM marketplace.proposals p WHERE p.freelancer_id = %(user)s)""",
    "proposal": "SELECT t.* FROM marketplace.proposals t WHERE %(user)s IN (t.client_id, t.freelancer_id)",
    "saved_job": "SELECT t.* FROM marketplace.saved_jobs t WHERE t.user_id = %(user)s",
    "offline_cache_metadata": "SELECT t.* FROM marketplace.offline_cache_metadata t",
    "message": "SELECT t.* FROM marketplace.messages t WHERE %(user)s IN (t.sender_id, t.recipient_id)",
}
