-- Does a batch that was written otherwise ask for the same as the stored one? Payloads are compared as JSON.
-- (A verdict given again is kept without its temp id.)
SELECT b.atomic = %(atomic)s AND b.items_count = %(count)s AND bool_and(i.resource_type = g.resource_type
       AND i.action::text = g.action AND i.client_version IS NOT DISTINCT FROM g.client_version
       AND (i.client_temp_id IS NULL OR i.client_temp_id IS NOT DISTINCT FROM g.client_temp_id)
       AND i.payload = g.payload AND i.base IS NOT DISTINCT FROM g.base)
FROM homing.sync_batches b
JOIN homing.sync_items i ON i.batch_id = b.id
LEFT JOIN json_to_recordset(%(items)s::text::json) AS g(n int, resource_type text, action text, payload jsonb,
    client_version int, client_temp_id text, base jsonb) ON g.n = i.position
WHERE b.id = %(batch)s
GROUP BY b.id
