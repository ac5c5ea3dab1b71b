"""What the console's pages are measured with: years of work of a large fleet, set by set.

Row n of a kind has the id …n of a family of its own. Stamps are defaults of their columns, so no trigger has to run.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from argon2 import PasswordHasher
from psycopg import Connection, sql

from bench.contenders.homing import PASSWORD
from bench.measures import crm, market

OWNER: Final = UUID("00000000-0000-0000-0000-000000000001")
DEVICES, SUBMISSIONS = 100_000, 1_000_000
SIZES: Final = {
    "devices": DEVICES,
    "submissions": SUBMISSIONS,
    "batches": 500_000,
    "enrolments": 100_000,
    "messages": 300_000,
    "metrics": 1_000_000,
    "events": 1_000_000,
    "notifications": 200_000,
}
"""At full size; a quick run has a tenth of each."""
WAITING: Final = 2_000
"""Conflicts, quarantined items and dead jobs that wait for a person."""
PARTNERS: Final = 500
"""Whom the owner writes with."""

FLEET = (
    """INSERT INTO homing.users (id, username, name, role, password_hash)
    VALUES (%(owner)s, 'owner', 'Owner', 'OWNER', %(hash)s)""",
    """INSERT INTO homing.users (id, username, name, role)
    SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'worker-' || n, 'Worker ' || n, 'WORKER'
    FROM generate_series(1, %(devices)s::int) n""",
    """INSERT INTO homing.mobile_devices (id, device_id, user_id, device_type, os_version, app_version, status,
                                          last_seen,
                                          created_at)
    SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'phone-' || n,
           ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'phone', 'Android ' || 12 + n %% 4,
           '2.' || n %% 7 || '.' || n %% 3,
           (CASE WHEN n %% 50 = 0 THEN 'revoked' WHEN n %% 70 = 0 THEN 'suspended' ELSE 'active'
           END)::homing.device_status, now() - n * interval '3 seconds', now() - n * interval '10 minutes'
    FROM generate_series(1, %(devices)s::int) n""",
    """INSERT INTO homing.cursors (device_id, snapshot, epoch, delivered, acked_at)
    SELECT d.id, pg_current_snapshot(), e.epoch, 1, d.last_seen - interval '20 seconds'
    FROM homing.mobile_devices d, homing.epoch e""",
    """INSERT INTO fieldwork.teams (id, name)
    SELECT ('00000000-0000-0000-0003-' || lpad(n::text, 12, '0'))::uuid, 'Team ' || n FROM generate_series(1, 500) n""",
    """INSERT INTO fieldwork.mobile_forms (id, code, name, schema, version, published, draft)
    SELECT ('00000000-0000-0000-0004-' || lpad(n::text, 12, '0'))::uuid, 'visit-' || n, 'Visit ' || n, %(schema)s, '2',
           true, false FROM generate_series(1, 300) n""",
    """INSERT INTO fieldwork.form_versions (form_id, form_version, schema)
    SELECT f.id, v::text, f.schema FROM fieldwork.mobile_forms f, generate_series(1, 2) v""",
    """INSERT INTO fieldwork.submissions (id, form_id, form_version, data, device_id, status, created_at, team_id,
                                          author_id, metadata)
    SELECT ('00000000-0000-0000-0005-' || lpad(n::text, 12, '0'))::uuid,
           ('00000000-0000-0000-0004-' || lpad((1 + n %% 3 / 2 * n %% 300)::text, 12, '0'))::uuid, '1',
           jsonb_build_object('visit', n, 'remark', 'All was well on visit ' || n),
           ('00000000-0000-0000-0002-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid,
           (ARRAY['pending', 'approved', 'approved', 'rejected'])[1 + n %% 4]::fieldwork.submission_status,
           now() - n * interval '20 seconds',
           ('00000000-0000-0000-0003-' || lpad((1 + n %% 500)::text, 12, '0'))::uuid,
           ('00000000-0000-0000-0001-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid,
           CASE WHEN n %% 2 = 0 THEN jsonb_build_object('gps', jsonb_build_object(
               'lat', 47 + n %% 1000 / 1000.0, 'lon', 8 + n %% 777 / 777.0)) ELSE '{}' END
    FROM generate_series(1, %(submissions)s::int) n""",
    """INSERT INTO homing.history (table_id, row_id, version, action, changes, actor, at)
    SELECT t.id, '00000000-0000-0000-0005-' || lpad(n::text, 12, '0'), 2, 'update',
           '{"status": ["pending", "approved"]}',
           '00000000-0000-0000-0001-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'),
           now() - (%(submissions)s::int - n) * interval '2 seconds'
    FROM homing.synced_tables t, generate_series(1, %(submissions)s::int) n WHERE t.name = 'fieldwork.submissions'""",
    """INSERT INTO homing.sync_batches (id, batch_token, device_id, user_id, status, items_count, created_at,
                                        processed_at,
                                        body_hash)
    SELECT ('00000000-0000-0000-0006-' || lpad(n::text, 12, '0'))::uuid, 'batch ' || n, d.id, d.user_id,
           (CASE WHEN n %% 400 = 0 THEN 'failed' ELSE 'completed' END)::homing.batch_status, 1 + n %% 20,
           now() - n * interval '1 second', now() - n * interval '1 second', ''
    FROM generate_series(1, %(batches)s::int) n
    JOIN homing.mobile_devices d ON d.id = ('00000000-0000-0000-0002-' || lpad((1 + n %% %(devices)s::int)::text, 12,
    '0'))::uuid""",
    """INSERT INTO homing.sync_items (batch_id, resource_type, action, payload, status, position, code, quarantined_at,
                                      device_id)
    SELECT b.id, 'submission', 'create', '{"form_id": "gone"}', 'error', 0, 'invalid_value', b.created_at, b.device_id
    FROM homing.sync_batches b ORDER BY b.created_at DESC LIMIT %(waiting)s""",
    """INSERT INTO homing.conflicts (resource_type, row_id, resource_id, server_payload, client_payload, base_payload,
                                     server_version, base_version, fields, device_id, user_id, created_at)
    SELECT 'submission', s.id::text, s.id, '{"status": "approved"}', '{"status": "rejected"}', '{"status": "pending"}',
    3, 1,
           '{status}', s.device_id, s.author_id, s.created_at
    FROM fieldwork.submissions s ORDER BY s.created_at DESC LIMIT %(waiting)s""",
    # A third of all submissions is of the other forms, half have a place, every fifth a photo.
    """INSERT INTO homing.media (key, user_id, filename, content_type, size_bytes, completed_at, found_size,
                                 found_sha256, referenced_at)
    SELECT 'photo/' || n, s.author_id, n || '.jpg', 'image/jpeg', 100000, now(), 100000, sha256('x'), now()
    FROM generate_series(5, %(submissions)s::int, 5) n
    JOIN fieldwork.submissions s ON s.id = ('00000000-0000-0000-0005-' || lpad(n::text, 12, '0'))::uuid""",
    """INSERT INTO fieldwork.submission_media (submission_id, key, filename, content_type, size_bytes, uploaded_at,
                                              team_id, author_id, gps)
    SELECT s.id, 'photo/' || n, n || '.jpg', 'image/jpeg', 100000, now(), s.team_id, s.author_id,
           fieldwork.gps_from(47 + n %% 1000 / 1000.0, 8 + n %% 777 / 777.0)
    FROM generate_series(5, %(submissions)s::int, 5) n
    JOIN fieldwork.submissions s ON s.id = ('00000000-0000-0000-0005-' || lpad(n::text, 12, '0'))::uuid""",
    """INSERT INTO homing.sync_items (batch_id, resource_type, action, payload, status, position, device_id, created_at)
    SELECT b.id, 'submission', 'create', '{"form_id": "visit"}', 'ok', 1, b.device_id, b.created_at
    FROM homing.sync_batches b""",
    """INSERT INTO homing.enrollment_tokens (id, token, created_by, tenant_id, created_at, expires_at, used_at,
                                             device_id, role, server_key, cancelled_at)
    SELECT i, i, %(owner)s, 'default', at, at + interval '1 day',
           CASE WHEN n %% 10 > 1 THEN at END, CASE WHEN n %% 10 > 1 THEN 'phone-' || n END, 'WORKER', 'f',
           CASE WHEN n %% 100 = 1 THEN at END
    FROM generate_series(1, %(enrolments)s::int) n,
         LATERAL (SELECT now() - n * interval '2 minutes' AS at,
                         ('00000000-0000-0000-0009-' || lpad(n::text, 12, '0'))::uuid AS i) t""",
    """INSERT INTO homing.sessions (user_id, device_id, platform, created_at, expires_at, last_used_at)
    SELECT d.user_id, d.device_id, 'mobile', d.created_at, now() + interval '30 days', d.last_seen
    FROM homing.mobile_devices d""",
    """INSERT INTO homing.telemetry_metrics (device_id, name, value, at, created_at)
    SELECT ('00000000-0000-0000-0002-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid,
           (ARRAY['battery', 'storage_free', 'outbox'])[1 + n / %(devices)s::int %% 3], to_jsonb(n %% 100), t, t
    FROM generate_series(1, %(metrics)s::int) n, LATERAL (SELECT now() - n * interval '1 second' AS t) made""",
    """INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, status, attempts)
    SELECT 'default', 'bench', 'failed', 20 FROM generate_series(1, %(waiting)s::int)""",
)
APPS = (
    """INSERT INTO messaging.contacts (id, username, name, user_type, is_active)
    SELECT u.id, u.username, u.name, u.user_type, u.is_active FROM homing.users u""",
    # A third is the owner's, with PARTNERS people; one in 25,000 is about a unicorn.
    """INSERT INTO messaging.messages (sender_id, recipient_id, content, status, created_at)
    SELECT CASE WHEN n %% 2 = 0 THEN a ELSE b END, CASE WHEN n %% 2 = 0 THEN b ELSE a END,
           'Message ' || n || CASE WHEN n %% 25000 = 0 THEN ' about the unicorn' ELSE ' about the ferry' END,
           CASE WHEN n %% 200 < 6 THEN 'synced' ELSE 'read' END, now() - n * interval '30 seconds'
    FROM generate_series(1, %(messages)s::int) n,
         LATERAL (SELECT CASE WHEN n %% 3 = 0 THEN %(owner)s::uuid
                  ELSE ('00000000-0000-0000-0001-' || lpad((20001 + n %% 5000)::text, 12, '0'))::uuid END AS a,
                  ('00000000-0000-0000-0001-' || lpad((1 + n / 3 %% %(partners)s)::text, 12, '0'))::uuid AS b) p""",
    """INSERT INTO messaging.conversations (user_id, partner_id, last_at)
    SELECT w.a, w.b, max(m.created_at) FROM messaging.messages m,
         LATERAL (VALUES (m.sender_id, m.recipient_id), (m.recipient_id, m.sender_id)) w (a, b) GROUP BY w.a, w.b""",
    """INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, amount_cents, status, created_at)
    SELECT j.id, j.client_id, ('00000000-0000-0000-0001-' || lpad((30000 + m)::text, 12, '0'))::uuid, 20000,
           (ARRAY['submitted', 'rejected', 'withdrawn'])[1 + m %% 3]::marketplace.proposal_status, j.created_at
    FROM marketplace.jobs j, generate_series(1, 2) m""",
    """INSERT INTO homing.push_notifications (user_id, platform, notification_type, title, body, sent_at, read_at,
                                              waiting)
    SELECT ('00000000-0000-0000-0001-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid, 'android',
           'job_match', 'A job', 'for you', t, CASE WHEN n %% 3 = 0 THEN t END, false
    FROM generate_series(1, %(notifications)s::int) n, LATERAL (SELECT now() - n * interval '12 seconds' AS t) made""",
    """INSERT INTO homing.push_deliveries (notification_id, token_id, platform, provider, status, sent_at, created_at)
    SELECT n.id, n.id, n.platform, CASE WHEN n.id %% 2 = 0 THEN 'fcm' ELSE 'expo' END,
           (ARRAY['delivered', 'sent', 'failed', 'delivered'])[1 + n.id %% 4], n.sent_at, n.sent_at
    FROM homing.push_notifications n""",
    """INSERT INTO homing.analytics_events (user_id, key, month, event, properties, platform, at, said_at, created_at)
    SELECT ('00000000-0000-0000-0001-' || lpad((1 + n %% %(devices)s::int)::text, 12, '0'))::uuid,
           ('00000000-0000-0000-000a-' || lpad(n::text, 12, '0'))::uuid, date_trunc('month', t, 'UTC'),
           (ARRAY['screen_view', 'feature_usage', 'session_start', 'user_login', 'screen_view'])[1 + n %% 5],
           jsonb_build_object('feature', 'feature ' || n %% 20, 'duration', n %% 60),
           CASE WHEN n %% 4 = 0 THEN 'web' ELSE 'mobile' END, t, t, t
    FROM generate_series(1, %(events)s::int) n, LATERAL (SELECT now() - n * interval '2.5 seconds' AS t) made""",
    """INSERT INTO homing.request_tallies (hour, platform, requests, client_errors, server_errors, seconds, buckets)
    SELECT date_trunc('hour', now(), 'UTC') - h * interval '1 hour', p, 1000, 10, 1, 20,
           array_fill(60::bigint, ARRAY[15])
    FROM generate_series(0, 24 * 90) h, unnest(ARRAY['web', 'mobile', 'none']) p""",
)


SCHEMAS: Final = ("fieldwork", "messaging", "crm", "marketplace")
TRIGGERS: Final = """
SELECT n.nspname, c.relname, t.tgname, t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND NOT t.tgisinternal AND t.tgparentid = 0
"""
SCHEMA: Final = """{"type": "object", "properties": {"visit": {"type": "integer", "title": "Visit"},
"remark": {"type": "string", "title": "Remark"}}}"""


def fill(conn: Connection[Any], share: int) -> None:
    """Everything, or a ``share``-th of it, in one transaction with the triggers off; then they are as they were."""
    sizes = {name: size // share for name, size in SIZES.items()}
    given = {"owner": OWNER, "hash": PasswordHasher().hash(PASSWORD), "schema": SCHEMA}
    given |= {"waiting": WAITING, "partners": PARTNERS}
    crew = [UUID(f"00000000-0000-0000-0001-{number:012}") for number in range(1, 1 + crm.WORKERS)]
    company = {"owner": OWNER, "workers": crew, "crew": len(crew), "each": crm.MATERIALS_EACH // 2}
    company |= {
        "customers_from": 1,
        "customers_to": crm.CUSTOMERS // share,
        "jobs_from": 1,
        "jobs_to": crm.JOBS // share,
    }
    people = min(market.PROFILES, sizes["devices"] // 2)
    # Somebody without a profile, who is no client therefore.
    trade = {"heavy": UUID(f"00000000-0000-0000-0001-{people + 1:012}"), "profiles": people, **market.HEAVY}
    conn.execute("SET session_replication_role = replica")
    triggers = conn.execute(TRIGGERS, {"schemas": list(SCHEMAS)}).fetchall()
    for schema, table, trigger, _ in triggers:
        _switch(conn, "DISABLE", schema, table, trigger)
    for statements, parameters in (
        (FLEET, sizes | given),
        (crm.LOAD, company),
        (market.LOAD[1:], {**trade, "jobs": market.JOBS // share}),
        (APPS, sizes | given),
    ):
        for statement in statements:
            conn.execute(statement, parameters)  # type: ignore[arg-type]
    for schema, table, trigger, enabled in triggers:
        _switch(conn, "ENABLE ALWAYS" if enabled == "A" else "ENABLE", schema, table, trigger)
    conn.commit()


def _switch(conn: Connection[Any], how: str, schema: str, table: str, trigger: str) -> None:
    conn.execute(
        sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
            sql.Identifier(schema, table),
            sql.SQL(how),
            sql.Identifier(trigger),  # type: ignore[arg-type]
        )
    )
