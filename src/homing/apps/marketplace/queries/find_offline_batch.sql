-- A batch of offline operations that was applied before, by its token, which follows from the operations.
SELECT id, processed_at FROM homing.sync_batches WHERE batch_token = %(token)s AND user_id = %(user)s::uuid
