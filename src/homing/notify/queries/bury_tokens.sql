-- Tokens that their carriers call dead, unless they were registered again since; their devices' rows forget them.
WITH dead AS (
    DELETE FROM homing.push_tokens t
    USING (SELECT id, max(since) AS since
           FROM unnest(%(ids)s::bigint[], %(since)s::timestamptz[]) AS g(id, since) GROUP BY id) g
    WHERE t.id = g.id AND t.renewed_at <= g.since
    RETURNING t.address, t.device_id
)
UPDATE homing.mobile_devices m SET push_token = NULL
FROM dead WHERE m.id = dead.device_id AND m.push_token = dead.address
