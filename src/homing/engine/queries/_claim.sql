-- The device, and the claim of a batch: its row, where there is none with its token.
device AS (
    SELECT id, trust_score FROM homing.mobile_devices WHERE device_id = %(device)s::text
), claim AS (
    INSERT INTO homing.sync_batches (id, batch_token, device_id, user_id, client_sync_token, server_sync_token, status,
        items_count, body_hash, atomic, processed_at)
    VALUES (%(batch)s, %(batch_token)s, (SELECT id FROM device),
        (SELECT u.id FROM homing.users u WHERE u.id = %(user)s),  -- not there: the caller was deleted, and is told so
        %(client_sync_token)s, %(server_sync_token)s,
        'completed', %(count)s, %(body_hash)s, %(atomic)s, %(now)s)
    ON CONFLICT (batch_token) DO NOTHING
    RETURNING id
)
