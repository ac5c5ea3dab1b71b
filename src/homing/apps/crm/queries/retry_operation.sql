-- Try a failed operation again: whether it had failed; no row where there is no such operation.
WITH again AS (
    UPDATE crm.sync_queue SET status = 'pending', retry_count = 0, error = NULL, processed_at = NULL
    WHERE id = %(id)s AND status = 'failed'
    RETURNING id
)
SELECT EXISTS (SELECT FROM again) FROM crm.sync_queue WHERE id = %(id)s
