-- One notification was read, or clicked, which is reading it too. The first time counts, and nothing goes back. The
-- device that says so has got it.
WITH marked AS (
    UPDATE homing.push_notifications n
    SET read_at = coalesce(n.read_at, %(now)s::timestamptz),
        clicked_at = CASE WHEN %(clicked)s THEN coalesce(n.clicked_at, %(now)s::timestamptz) ELSE n.clicked_at END
    WHERE n.id = %(id)s AND n.user_id = %(user)s
    RETURNING n.id, n.platform, n.notification_type, n.title, n.body, n.data, n.sent_at, n.read_at, n.clicked_at
), arrived AS (
    UPDATE homing.push_deliveries d SET status = 'delivered', delivered_at = coalesce(d.delivered_at, %(now)s::timestamptz)
    FROM marked, homing.push_tokens t
    WHERE d.notification_id = marked.id AND d.status = 'sent' AND t.id = d.token_id
      AND (t.session_id = %(session)s::uuid OR t.device_id = %(device)s::uuid)
)
SELECT * FROM marked
