-- Every item of a batch beside its effect: payload as sent, verdict as given. One statement a batch.
INSERT INTO homing.sync_items (id, batch_id, device_id, position, client_temp_id, resource_type, action, payload,
    client_version, server_version, status, error_message, row_id, code, merged, conflict_id, base, details,
    again, edited_at, quarantined_at)
SELECT x.id, %(batch)s, %(device_id)s::uuid, x.n, x.temp_id, x.resource_type, x.action, x.payload, x.client_version,
    x.server_version, x.status, x.error, x.row_id, x.code, coalesce(x.merged, false), x.conflict_id, x.base, x.details,
    x.again, x.edited_at, CASE WHEN x.quarantined THEN now() END
FROM json_to_recordset(%(items)s::text::json) AS x(id uuid, n int, temp_id text, resource_type text,
    action homing.item_action, payload jsonb, client_version int, server_version int, status homing.item_status,
    error text, row_id text, code text, merged boolean, conflict_id uuid, base jsonb, details jsonb, again boolean,
    edited_at timestamptz, quarantined boolean)
