-- Nobody will apply this item: who decided so, and why.
UPDATE homing.sync_items SET discarded_at = %(now)s, discarded_by = %(user)s, discard_reason = %(reason)s
WHERE id = %(item)s AND quarantined_at IS NOT NULL AND discarded_at IS NULL RETURNING id
