-- Somebody's conversations, latest first, by keyset. Each page's few last messages are found by an index scan of one row.
SELECT c.last_at, c.partner_id, u.username, u.name, u.user_type, u.is_active, u.online_status, u.last_seen, l.id
FROM messaging.conversations c
JOIN homing.users u ON u.id = c.partner_id
LEFT JOIN LATERAL (
    SELECT t.id FROM (
        (SELECT m.id, m.created_at FROM messaging.messages m
         WHERE m.sender_id = c.user_id AND m.recipient_id = c.partner_id
         ORDER BY m.created_at DESC, m.id DESC LIMIT 1)
        UNION ALL
        (SELECT m.id, m.created_at FROM messaging.messages m
         WHERE m.sender_id = c.partner_id AND m.recipient_id = c.user_id
         ORDER BY m.created_at DESC, m.id DESC LIMIT 1)
    ) AS t ORDER BY t.created_at DESC, t.id DESC LIMIT 1
) AS l ON true
WHERE c.user_id = %(user)s
  AND (c.last_at, c.partner_id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY c.last_at DESC, c.partner_id DESC
LIMIT %(limit)s
