-- What the receipts say.
UPDATE homing.push_deliveries d
SET status = r.status, error = r.error, receipt_at = NULL,
    delivered_at = CASE WHEN r.status = 'delivered' THEN coalesce(d.delivered_at, %(now)s::timestamptz) ELSE d.delivered_at END
FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(errors)s::text[]) AS r(id, status, error)
WHERE d.id = r.id AND d.status IN ('sent', 'delivered')
