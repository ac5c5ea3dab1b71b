-- Claim a batch of which nothing has to be read: the transaction is stopped unless all is as was taken for granted. The
-- claim is ours, as the token is unique; the caller was confirmed just before, as that device and trusted; of the temp ids
-- nothing is known; no key was a row's that is deleted. (A deletion cannot be of later than a day from now, so later
-- partitions need no look. Each is looked up by itself, and the action as text: by a plan that was made when there was
-- little, all that a device ever sent would be read, and all deletions.)
WITH caller AS (
    SELECT %(device)s::text AS device
), kept AS (
-- include _sync_metadata
), claim AS (
    INSERT INTO homing.sync_batches (id, batch_token, device_id, user_id, client_sync_token, server_sync_token, status,
        items_count, body_hash, atomic, processed_at)
    VALUES (%(batch)s, %(batch_token)s, %(expected)s, %(user)s, %(client_sync_token)s, %(server_sync_token)s,
        'completed', %(count)s, %(body_hash)s, %(atomic)s, %(now)s)
)
SELECT homing.stop()
WHERE (
    current_setting('homing.batch', true) = %(batch)s::text
    AND EXISTS (
        SELECT FROM homing.mobile_devices
        WHERE id = %(expected)s AND device_id = %(device)s::text AND trust_score >= %(trust_min)s)
    AND NOT EXISTS (
        SELECT FROM unnest(%(temp_ids)s::text::text[]) AS t (id)
        CROSS JOIN LATERAL (
            SELECT FROM homing.sync_items i
            WHERE i.device_id = %(expected)s AND i.client_temp_id = t.id AND i.status <> 'error' AND NOT i.again
            LIMIT 1) AS known)
    AND NOT EXISTS (
        SELECT FROM unnest(%(tables)s::text::int[], %(keys)s::text::text[]) AS k (table_id, row_id)
        CROSS JOIN LATERAL (
            SELECT FROM homing.history h
            WHERE h.table_id = k.table_id AND h.row_id = k.row_id AND h.action::text = 'delete'
              AND h.at < statement_timestamp() + interval '1 day'
            LIMIT 1) AS former)
) IS NOT TRUE
