-- Somebody's notifications, the newest first.
SELECT n.id, n.platform, n.notification_type, n.title, n.body, n.data, n.sent_at, n.read_at, n.clicked_at
FROM homing.push_notifications n
WHERE n.user_id = %(user)s
  AND n.read_at IS NULL -- when unread
  AND n.id < %(after)s -- when after
ORDER BY n.id DESC
LIMIT %(limit)s
