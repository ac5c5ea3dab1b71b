-- What was paid on each day (UTC) since a moment, by currency, of the latest so many payments: along payments_listed.
-- Amounts are in cents, less what was given back since, and of different currencies never added.
SELECT extract(epoch FROM date_bin('1 day', p.created_at, timestamptz '2000-01-01Z'))::bigint AS at, p.currency,
       count(*) AS payments, sum(p.amount_cents - p.refunded_cents)::bigint AS cents
FROM (SELECT i.created_at, i.status, i.currency, i.amount_cents, i.refunded_cents
      FROM marketplace.payments i
      WHERE i.created_at >= %(since)s ORDER BY i.created_at DESC, i.id DESC LIMIT %(limit)s) p
WHERE p.status = 'succeeded'
GROUP BY 1, 2 ORDER BY 1, 2
