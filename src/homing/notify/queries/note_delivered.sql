-- The device says that it showed a notification.
WITH found AS (
    SELECT n.id FROM homing.push_notifications n WHERE n.id = %(id)s AND n.user_id = %(user)s
), arrived AS (
    UPDATE homing.push_deliveries d SET status = 'delivered', delivered_at = coalesce(d.delivered_at, %(now)s::timestamptz)
    FROM found, homing.push_tokens t
    WHERE d.notification_id = found.id AND d.status = 'sent' AND t.id = d.token_id
      AND (t.session_id = %(session)s::uuid OR t.device_id = %(device)s::uuid)
)
SELECT count(*) FROM found
