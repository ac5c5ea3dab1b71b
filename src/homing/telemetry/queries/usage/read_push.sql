-- How notifications fared on their way, by platform. Those that were never to be pushed (the device was connected, a
-- newer one took their place) or still wait are no attempts; neither is what only the log was told.
SELECT d.platform, count(*), count(*) FILTER (WHERE d.status IN ('sent', 'delivered')),
    count(*) FILTER (WHERE d.delivered_at IS NOT NULL), count(DISTINCT n.id) FILTER (WHERE n.read_at IS NOT NULL),
    count(DISTINCT n.id) FILTER (WHERE n.clicked_at IS NOT NULL)
FROM homing.push_notifications n
JOIN homing.push_deliveries d ON d.notification_id = n.id
WHERE n.sent_at >= %(since)s AND n.sent_at < %(until)s AND d.status IN ('sent', 'delivered', 'gone', 'failed')
GROUP BY d.platform
ORDER BY d.platform
