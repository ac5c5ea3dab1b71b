-- Claim the batch before anything is done: whoever inserts the row first does the work. Nothing comes back when taken.
INSERT INTO homing.sync_batches (id, batch_token, device_id, user_id, client_sync_token, server_sync_token, status,
    items_count, body_hash, atomic, processed_at)
VALUES (%(batch)s, %(batch_token)s, (SELECT id FROM homing.mobile_devices WHERE device_id = %(device)s::text), %(user)s,
    %(client_sync_token)s, %(server_sync_token)s, 'completed', %(count)s, %(body_hash)s, %(atomic)s, %(now)s)
ON CONFLICT (batch_token) DO NOTHING
RETURNING id
