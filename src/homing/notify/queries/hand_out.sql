-- Notifications that nobody has handed out yet, to each of their people's devices. Rows that another worker has are
-- passed by. How many notifications, how many deliveries.
WITH taken AS (
    SELECT n.id FROM homing.push_notifications n WHERE n.waiting ORDER BY n.id LIMIT %(most)s FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE homing.push_notifications n SET waiting = false FROM taken WHERE n.id = taken.id
    RETURNING n.id, n.user_id, n.collapse
), made AS (
    INSERT INTO homing.push_deliveries (notification_id, token_id, device_id, platform, provider, collapse, not_before)
    SELECT m.id, t.id, t.device_id, t.platform, t.provider, m.collapse, %(now)s
    FROM marked m JOIN homing.push_tokens t ON t.user_id = m.user_id
    ORDER BY m.id, t.id
    RETURNING id
)
SELECT (SELECT count(*) FROM marked), (SELECT count(*) FROM made)
