-- A batch by its token, for a retry: who sent it, with what body, and what it was answered.
SELECT b.id, d.device_id, b.user_id, b.body_hash, coalesce(b.processed_at, b.created_at), b.server_sync_token,
       b.batch_token
FROM homing.sync_batches b LEFT JOIN homing.mobile_devices d ON d.id = b.device_id
WHERE b.batch_token = %(batch_token)s
