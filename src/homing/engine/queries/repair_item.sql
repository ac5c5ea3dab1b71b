-- Another payload for a quarantined item. The one that was sent stays in sync_item_history.
UPDATE homing.sync_items SET payload = %(payload)s::text::jsonb
WHERE id = %(item)s AND quarantined_at IS NOT NULL AND discarded_at IS NULL RETURNING id
