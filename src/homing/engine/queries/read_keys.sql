-- What this device's temp ids stand for, and the verdicts its items got: one row a binding verdict.
SELECT i.client_temp_id, i.action::text, i.client_version, i.status::text, i.row_id, i.server_version, i.code, i.merged,
       i.conflict_id, i.error_message, i.id, coalesce(c.server_payload, i.details -> 'server_payload')::text
FROM homing.sync_items i
JOIN homing.mobile_devices d ON d.id = i.device_id
LEFT JOIN homing.conflicts c ON c.id = i.conflict_id
WHERE d.device_id = %(device)s::text AND i.client_temp_id = ANY (%(temp_ids)s::text[]) AND i.status <> 'error'
  AND NOT i.again
ORDER BY i.created_at, i.position
