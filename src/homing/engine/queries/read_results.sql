-- The stored verdicts of a batch, in order, with the server's row for conflicts.
SELECT i.position, i.client_temp_id, i.status::text, i.row_id, i.server_version, i.merged, i.conflict_id, i.code,
       i.error_message, coalesce(c.server_payload, i.details -> 'server_payload')::text, i.details ->> 'path'
FROM homing.sync_items i LEFT JOIN homing.conflicts c ON c.id = i.conflict_id
WHERE i.batch_id = %(batch)s ORDER BY i.position
