-- One conflict whole, with who changed which field of the row since the device's base, and when.
SELECT c.id, c.resource_type, c.row_id, c.code, c.action::text, c.resolution::text, c.resolution_action::text, c.fields,
       c.server_version, c.base_version, c.created_at, c.resolved_at, c.resolved_by, d.device_id, u.username,
       c.policy::text, c.base_payload::text, c.server_payload::text, c.client_payload::text, c.notes,
       c.resolved_payload::text, c.resolved_version, c.user_id,
       (SELECT coalesce(json_agg(json_build_object('version', h.version, 'actor', h.actor, 'by', hu.username,
            'device', hd.device_id, 'at', h.at, 'fields', h.changes - %(hidden)s::text[]) ORDER BY h.version), '[]')
        FROM homing.history h
        LEFT JOIN homing.users hu ON hu.id::text = h.actor LEFT JOIN homing.mobile_devices hd ON hd.id = h.device_id
        WHERE h.table_id = %(table_id)s AND h.row_id = c.row_id AND h.version > coalesce(c.base_version, 0)
          AND h.version <= c.server_version AND h.action = 'update'
          AND NOT EXISTS (SELECT FROM homing.history m WHERE m.table_id = h.table_id AND m.row_id = h.row_id
                          AND m.action = 'create' AND m.at > h.at))::text,
       c.batch_id,
       (SELECT i.edited_at FROM homing.sync_items i WHERE i.batch_id = c.batch_id AND i.conflict_id = c.id LIMIT 1)
FROM homing.conflicts c
LEFT JOIN homing.mobile_devices d ON d.id = c.device_id
LEFT JOIN homing.users u ON u.id = c.user_id
WHERE c.id = %(conflict)s
