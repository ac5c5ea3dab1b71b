-- Notifications that are too old for anybody's list, with their deliveries. So many at a time.
DELETE FROM homing.push_notifications n WHERE n.id IN (
    SELECT o.id FROM homing.push_notifications o WHERE o.sent_at < %(before)s ORDER BY o.sent_at LIMIT %(most)s
)
