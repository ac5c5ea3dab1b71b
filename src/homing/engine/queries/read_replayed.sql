-- The items of a batch that a replay may run again, in order; with `item` only that one. Locked, so that two people
-- do not replay the same one.
SELECT i.id, i.position, i.client_temp_id, i.resource_type, i.action::text, i.payload::text, i.client_version,
       i.status::text, i.base::text,
       coalesce(i.edited_at, i.created_at), i.row_id, i.server_version, i.code, i.error_message, i.conflict_id,
       i.merged, i.again
FROM homing.sync_items i
WHERE i.batch_id = %(batch)s AND (%(item)s::uuid IS NULL OR i.id = %(item)s::uuid) AND i.discarded_at IS NULL
ORDER BY i.position
FOR UPDATE
