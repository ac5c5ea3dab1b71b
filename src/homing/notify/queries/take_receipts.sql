-- Deliveries whose receipt can be asked for. They are asked for again later unless it is there; after a day, never.
WITH due AS (
    SELECT d.id FROM homing.push_deliveries d WHERE d.receipt_at <= %(now)s
    ORDER BY d.receipt_at, d.id LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
UPDATE homing.push_deliveries d SET receipt_at = CASE WHEN d.sent_at > %(too_old)s THEN %(again)s::timestamptz END
FROM due WHERE d.id = due.id
RETURNING d.id, d.token_id, d.provider_id
