-- The latest edit of a row that can still take something along: never sent, and not a delete.
SELECT op FROM _outbox
WHERE resource_type = :resource_type AND row_id = :row_id AND status = 'queued' AND item IS NULL AND action <> 'delete'
ORDER BY seq DESC LIMIT 1
