-- What this node measured since it last said so is added to what all nodes measured.
INSERT INTO homing.request_tallies AS known (hour, platform, requests, client_errors, server_errors, seconds, buckets)
SELECT date_trunc('hour', %(now)s::timestamptz, 'UTC'), t.platform, t.requests, t.client_errors, t.server_errors,
    t.seconds, t.buckets
FROM jsonb_to_recordset(%(tallies)s::jsonb)
     AS t (platform text, requests bigint, client_errors bigint, server_errors bigint, seconds double precision,
           buckets bigint[])
ORDER BY t.platform
ON CONFLICT (hour, platform) DO UPDATE SET
    requests = known.requests + excluded.requests,
    client_errors = known.client_errors + excluded.client_errors,
    server_errors = known.server_errors + excluded.server_errors,
    seconds = known.seconds + excluded.seconds,
    buckets = (SELECT array_agg(coalesce(b.a, 0) + coalesce(b.b, 0) ORDER BY b.n)
               FROM unnest(known.buckets, excluded.buckets) WITH ORDINALITY AS b (a, b, n))
