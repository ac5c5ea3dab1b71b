-- Conflicts of a batch, open or decided by a policy. An edit that waits already gets the conflict it has.
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(conflicts)s::text::json) AS x(n int, id uuid, resource_type text, row_id text,
        server_payload jsonb, client_payload jsonb, base_payload jsonb, base_version int, server_version int, fields json,
        action homing.item_action, code text, policy jsonb, resolved_payload jsonb)
), kept AS (
    INSERT INTO homing.conflicts (id, resource_type, resource_id, row_id, server_payload, client_payload, base_payload,
        base_version, server_version, fields, action, code, device_id, user_id, batch_id, policy, resolved_payload,
        resolution, resolution_action, resolved_at, resolved_version)
    SELECT id, resource_type,
        CASE WHEN row_id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN row_id::uuid END,
        row_id, coalesce(server_payload, 'null'), client_payload, base_payload, base_version, server_version,
        ARRAY(SELECT json_array_elements_text(fields)), action, code, %(device_id)s::uuid, %(user)s, %(batch)s,
        policy, resolved_payload,
        (CASE WHEN policy IS NULL THEN 'pending' ELSE 'resolved' END)::homing.conflict_resolution,
        (CASE WHEN policy IS NOT NULL THEN 'merged' END)::homing.resolution_action,
        CASE WHEN policy IS NOT NULL THEN now() END,
        CASE WHEN policy IS NOT NULL THEN server_version END
    FROM (SELECT DISTINCT ON (resource_type, row_id, coalesce(base_version, -1), client_payload::text,
                              CASE WHEN policy IS NOT NULL THEN n END) *
          FROM input
          ORDER BY resource_type, row_id, coalesce(base_version, -1), client_payload::text,
                   CASE WHEN policy IS NOT NULL THEN n END, n) AS once
    ON CONFLICT (resource_type, row_id, (coalesce(device_id, '00000000-0000-0000-0000-000000000000'::uuid)),
        (coalesce(base_version, -1)), (md5(client_payload::text))) WHERE resolution = 'pending'
    DO UPDATE SET server_version = excluded.server_version, server_payload = excluded.server_payload
    RETURNING id, resource_type, row_id, base_version, client_payload
)
SELECT DISTINCT ON (i.n) i.n, k.id FROM input i
JOIN kept k ON k.resource_type = i.resource_type AND k.row_id = i.row_id
    AND k.base_version IS NOT DISTINCT FROM i.base_version AND k.client_payload = i.client_payload
ORDER BY i.n, k.id = i.id DESC
