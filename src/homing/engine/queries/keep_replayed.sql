-- The verdicts of a replay on the items they belong to. What they were before stays in sync_item_history.
UPDATE homing.sync_items i
SET status = x.status, server_version = x.server_version, error_message = x.error, row_id = x.row_id, code = x.code,
    merged = coalesce(x.merged, false), conflict_id = x.conflict_id, details = x.details,
    again = x.again,
    quarantined_at = CASE WHEN x.quarantined OR (x.status = 'error' AND i.quarantined_at IS NOT NULL)
                          THEN coalesce(i.quarantined_at, now()) END
FROM json_to_recordset(%(items)s::text::json) AS x(id uuid, status homing.item_status, server_version int, error text,
    row_id text, code text, merged boolean, conflict_id uuid, details jsonb, again boolean,
    quarantined boolean)
WHERE i.id = x.id
