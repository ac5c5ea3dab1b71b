-- What became of the deliveries of a time, by platform and carrier.
SELECT d.platform, d.provider, d.status, count(*) AS deliveries,
       count(*) FILTER (WHERE n.read_at IS NOT NULL) AS read, count(*) FILTER (WHERE n.clicked_at IS NOT NULL) AS clicked
FROM homing.push_notifications n JOIN homing.push_deliveries d ON d.notification_id = n.id
WHERE n.sent_at >= %(since)s AND n.sent_at < %(until)s
GROUP BY d.platform, d.provider, d.status
ORDER BY d.platform, d.provider, d.status
