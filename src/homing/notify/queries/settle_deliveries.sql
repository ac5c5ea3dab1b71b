-- What became of deliveries that this worker took. One that was given up meanwhile is another's: its attempt is not ours.
UPDATE homing.push_deliveries d
SET status = r.status, not_before = coalesce(r.not_before, d.not_before), error = r.error,
    sent_at = CASE WHEN r.status = 'sent' THEN %(now)s::timestamptz ELSE d.sent_at END,
    provider_id = coalesce(r.provider_id, d.provider_id), receipt_at = r.receipt_at
FROM unnest(%(ids)s::bigint[], %(attempts)s::integer[], %(statuses)s::text[], %(not_before)s::timestamptz[],
            %(errors)s::text[], %(provider_ids)s::text[], %(receipts)s::timestamptz[])
     AS r(id, attempt, status, not_before, error, provider_id, receipt_at)
WHERE d.id = r.id AND d.attempts = r.attempt AND d.status = 'pending'
