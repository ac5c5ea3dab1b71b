-- The batch waits for review: nothing of it is applied until the office replays it.
UPDATE homing.sync_batches SET status = 'received', held_reason = %(reason)s, processed_at = NULL WHERE id = %(batch)s
