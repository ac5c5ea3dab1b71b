-- The tenant's quotas, as the control table has them, into its own database: what is no quota any more goes.
WITH wanted AS (SELECT * FROM unnest(%(kinds)s::text[], %(most)s::bigint[]) AS w(kind, most)),
gone AS (DELETE FROM homing.quotas q WHERE q.kind NOT IN (SELECT w.kind FROM wanted w))
INSERT INTO homing.quotas AS q (kind, most) SELECT w.kind, w.most FROM wanted w
ON CONFLICT (kind) DO UPDATE SET most = EXCLUDED.most WHERE q.most <> EXCLUDED.most
