-- Everybody's payments, the newest first: along payments_listed.
-- include _payment_shown
WHERE (p.created_at, p.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s
