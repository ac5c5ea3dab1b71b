-- Does a batch that was written otherwise ask for the same as the stored one? Payloads are compared as JSON.
SELECT b.atomic = %(atomic)s AND b.items_count = count(g.n) AND coalesce(bool_and(i.resource_type = g.resource_type
       AND i.action::text = g.action AND i.client_version IS NOT DISTINCT FROM g.client_version
       AND i.payload = g.payload), true)
FROM homing.sync_batches b
JOIN homing.sync_items i ON i.batch_id = b.id
LEFT JOIN json_to_recordset(%(items)s::text::json) AS g(n int, resource_type text, action text, payload jsonb,
    client_version int) ON g.n = i.position
WHERE b.id = %(batch)s
GROUP BY b.id
