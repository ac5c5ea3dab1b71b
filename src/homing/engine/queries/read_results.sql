-- The stored verdicts of a batch, in order, with the server's row for conflicts. An item that was sent again while the
-- first one waited for review is told what became of the first.
SELECT b.position, b.client_temp_id, i.status::text, i.row_id, i.server_version, i.merged, i.conflict_id, i.code,
       i.error_message, coalesce(c.server_payload, i.details -> 'server_payload')::text, i.details ->> 'path'
FROM homing.sync_items b
LEFT JOIN homing.sync_items f ON b.again AND b.status = 'pending' AND f.device_id = b.device_id
    AND f.client_temp_id = b.client_temp_id AND f.action = b.action
    AND f.client_version IS NOT DISTINCT FROM b.client_version AND f.status <> 'error' AND NOT f.again
JOIN homing.sync_items i ON i.id = coalesce(f.id, b.id)
LEFT JOIN homing.conflicts c ON c.id = i.conflict_id
WHERE b.batch_id = %(batch)s ORDER BY b.position
