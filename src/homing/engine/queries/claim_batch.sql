-- Claim the batch before anything is done: whoever inserts the row first does the work. With it, in the snapshot after
-- the device's lock: how the device's sync stands once this is committed; what its temp ids stand for, and the binding
-- verdicts its items got before: a row each, or one row of NULLs. The first column is NULL where the batch was claimed
-- before. (Each temp id is looked up by itself: by a plan that was made when there was little, all that the device ever
-- sent would be read.)
WITH caller AS (
    SELECT id, device_id AS device FROM homing.mobile_devices WHERE device_id = %(device)s::text
), kept AS (
-- include _sync_metadata
), claim AS (
    INSERT INTO homing.sync_batches (id, batch_token, device_id, user_id, client_sync_token, server_sync_token, status,
        items_count, body_hash, atomic, processed_at)
    VALUES (%(batch)s, %(batch_token)s, (SELECT id FROM caller),
        (SELECT u.id FROM homing.users u WHERE u.id = %(user)s),  -- not there: the caller was deleted, and is told so
        %(client_sync_token)s, %(server_sync_token)s,
        'completed', %(count)s, %(body_hash)s, %(atomic)s, %(now)s)
    ON CONFLICT (batch_token) DO NOTHING
    RETURNING id
), keys AS (
    SELECT i.client_temp_id, i.action::text AS action, i.client_version, i.status::text AS status, i.row_id,
           i.server_version, i.code, i.merged, i.conflict_id, i.error_message, i.id, i.created_at, i.position,
           coalesce(c.server_payload, i.details -> 'server_payload')::text AS server_payload
    FROM caller d
    CROSS JOIN unnest(%(temp_ids)s::text::text[]) AS t (id)
    CROSS JOIN LATERAL (
        SELECT * FROM homing.sync_items i
        WHERE i.device_id = d.id AND i.client_temp_id = t.id AND i.status <> 'error' AND NOT i.again
        OFFSET 0) AS i
    LEFT JOIN homing.conflicts c ON c.id = i.conflict_id
)
SELECT (SELECT id FROM claim), k.client_temp_id, k.action, k.client_version, k.status, k.row_id, k.server_version,
       k.code, k.merged, k.conflict_id, k.error_message, k.id, k.server_payload
FROM (SELECT) AS always LEFT JOIN keys k ON true
ORDER BY k.created_at, k.position
