-- Take the oldest operations of one user that are due; but first those that a dead worker had taken, exactly those. One
-- that was tried before waits a minute, then two, four and so on.
WITH due AS MATERIALIZED (
    SELECT q.id, q.created_at, q.user_id FROM crm.sync_queue q
    WHERE q.status = 'pending'
      AND (q.retry_count = 0 OR q.processed_at <= %(now)s::timestamptz - interval '1 minute' * 2 ^ (q.retry_count - 1))
    ORDER BY q.created_at, q.id
    LIMIT %(limit)s
), fresh AS (
    UPDATE crm.sync_queue AS q SET status = 'processing'
    WHERE q.status = 'pending' AND NOT EXISTS (SELECT FROM crm.sync_queue o WHERE o.status = 'processing')
      AND q.id IN (SELECT d.id FROM due d WHERE d.user_id = (SELECT d.user_id FROM due d ORDER BY d.created_at, d.id LIMIT 1))
    RETURNING q.*
), taken AS (
    SELECT * FROM fresh
    UNION ALL
    SELECT * FROM crm.sync_queue WHERE status = 'processing'
)
SELECT id, user_id, operation, entity_type, entity_id, payload, retry_count, status, error, created_at, processed_at
FROM taken
ORDER BY created_at, id
