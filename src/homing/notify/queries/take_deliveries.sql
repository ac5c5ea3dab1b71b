-- Deliveries whose time has come, each with what is to become of it. Those to be sent are this worker's until
-- `given_up`: nobody else takes them before, and if it dies they are due again then. Rows that another worker is taking
-- are passed by.
WITH due AS (
    SELECT d.id FROM homing.push_deliveries d
    WHERE d.status = 'pending' AND d.not_before <= %(now)s
    ORDER BY d.not_before, d.id LIMIT %(most)s FOR UPDATE SKIP LOCKED
), judged AS MATERIALIZED (  -- inlined, it may be done again for every row
    SELECT d.id, n.id AS notification, n.notification_type, n.title, n.body, n.data, n.collapse, n.urgent,
           n.sent_at + make_interval(secs => n.seconds) AS expires, t.address, t.keys,
           CASE
               -- Signed out, another's by now, suspended, or not there any more.
               WHEN t.user_id IS DISTINCT FROM n.user_id OR s.revoked_at IS NOT NULL OR s.expires_at <= %(now)s
                    OR NOT u.is_active OR m.status <> 'active' THEN 'gone'
               WHEN n.sent_at + make_interval(secs => n.seconds) <= %(now)s THEN 'failed'
               WHEN EXISTS (SELECT FROM homing.push_deliveries newer WHERE newer.token_id = d.token_id
                            AND newer.collapse = d.collapse AND newer.id > d.id) THEN 'superseded'
               WHEN n.read_at IS NOT NULL THEN 'quiet'
               WHEN EXISTS (
                   SELECT FROM homing.live_sessions l JOIN homing.live_nodes o ON o.node = l.node
                   WHERE o.seen_at > now() - make_interval(secs => %(alive)s)
                     AND (l.session_id = t.session_id
                          OR l.session_id IN (SELECT b.id FROM homing.sessions b
                                              WHERE b.device_id = m.device_id AND b.revoked_at IS NULL))
               ) THEN CASE WHEN d.held THEN 'quiet' ELSE 'held' END
               ELSE 'send'
           END AS verdict
    FROM due
    JOIN homing.push_deliveries d ON d.id = due.id
    JOIN homing.push_notifications n ON n.id = d.notification_id
    JOIN homing.users u ON u.id = n.user_id
    LEFT JOIN homing.push_tokens t ON t.id = d.token_id
    LEFT JOIN homing.sessions s ON s.id = t.session_id
    LEFT JOIN homing.mobile_devices m ON m.id = t.device_id
)
UPDATE homing.push_deliveries d
SET status = CASE WHEN j.verdict IN ('send', 'held') THEN 'pending' ELSE j.verdict END,
    attempts = d.attempts + (j.verdict = 'send')::integer,
    held = d.held OR j.verdict = 'held',
    not_before = CASE j.verdict WHEN 'send' THEN %(given_up)s WHEN 'held' THEN %(held_until)s ELSE d.not_before END,
    error = CASE j.verdict WHEN 'failed' THEN coalesce(d.error || '; ', '') || 'it took too long' ELSE d.error END
FROM judged j WHERE d.id = j.id
RETURNING j.verdict, d.id, d.attempts, j.notification, d.token_id, j.notification_type, j.title, j.body, j.data,
          j.collapse, j.urgent, j.expires, d.provider, j.address, j.keys
