-- What became of operations that were taken.
UPDATE crm.sync_queue AS q
SET status = t.status, error = t.error, retry_count = t.retry_count, entity_id = t.entity_id,
    processed_at = %(now)s::timestamptz
FROM jsonb_to_recordset(%(told)s::text::jsonb)
    AS t (id uuid, status text, error text, retry_count integer, entity_id uuid)
WHERE q.id = t.id AND q.status = 'processing'
