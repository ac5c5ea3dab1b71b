-- An item of a batch as answers show it, with its device.
SELECT i.id, i.position, i.client_temp_id, i.resource_type, i.action::text, i.payload::text, i.client_version,
       i.server_version, i.status::text, i.error_message, i.row_id, i.code, i.merged, i.conflict_id, i.edited_at,
       i.quarantined_at, i.discarded_at, i.discard_reason, i.created_at, i.updated_at, i.batch_id, d.device_id
FROM homing.sync_items i LEFT JOIN homing.mobile_devices d ON d.id = i.device_id
