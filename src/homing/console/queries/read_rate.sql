-- Batches of the last day by half hour, of the latest so many: how many, how many of them failed, and their items.
SELECT extract(epoch FROM date_bin('30 minutes', b.created_at, timestamptz '2000-01-01'))::bigint AS at,
       count(*) AS batches, count(*) FILTER (WHERE b.status = 'failed') AS failed,
       coalesce(sum(b.items_count), 0)::bigint AS items, min(b.created_at) AS since
FROM (SELECT r.created_at, r.status, r.items_count FROM homing.sync_batches r
      WHERE r.created_at > %(now)s::timestamptz - interval '1 day' ORDER BY r.created_at DESC LIMIT 20000) b
GROUP BY 1 ORDER BY 1
