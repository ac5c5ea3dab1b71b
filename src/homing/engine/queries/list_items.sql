-- The items of a batch as sent and as judged, in order.
-- include _item_shown
WHERE i.batch_id = %(batch)s ORDER BY i.position
