-- What this device's temp ids stand for, and the verdicts its items got: one row a binding verdict. (Each temp id is looked
-- up by itself, as in claim_batch.)
SELECT i.client_temp_id, i.action::text, i.client_version, i.status::text, i.row_id, i.server_version, i.code, i.merged,
       i.conflict_id, i.error_message, i.id, coalesce(c.server_payload, i.details -> 'server_payload')::text
FROM homing.mobile_devices d
CROSS JOIN unnest(%(temp_ids)s::text[]) AS t (id)
CROSS JOIN LATERAL (
    SELECT * FROM homing.sync_items i
    WHERE i.device_id = d.id AND i.client_temp_id = t.id AND i.status <> 'error' AND NOT i.again
    OFFSET 0) AS i
LEFT JOIN homing.conflicts c ON c.id = i.conflict_id
WHERE d.device_id = %(device)s::text
ORDER BY i.created_at, i.position
