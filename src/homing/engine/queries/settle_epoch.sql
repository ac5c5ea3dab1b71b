-- Keep the epoch, or begin a new one where cluster, timeline, database or declarations are others than last time.
WITH here AS (
    SELECT s.system_identifier, c.timeline_id AS timeline, d.oid AS database_oid, %(declared)s::bytea AS declared
    FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database()
), judged AS (
    SELECT h.*, e.epoch,
           CASE WHEN e.epoch IS NULL THEN 'created'
                WHEN e.system_identifier <> h.system_identifier THEN 'another cluster'
                WHEN e.database_oid <> h.database_oid THEN 'another database'
                WHEN e.timeline <> h.timeline THEN 'another timeline'
                WHEN e.declared <> h.declared AND e.declared <> '' THEN 'other declarations'
           END AS reason
    FROM here h LEFT JOIN homing.epoch e ON true
), settled AS (
    INSERT INTO homing.epoch (system_identifier, timeline, database_oid, declared)
    SELECT system_identifier, timeline, database_oid, declared FROM judged
    ON CONFLICT (one) DO UPDATE SET
        epoch = CASE WHEN (SELECT reason FROM judged) IS NULL THEN epoch.epoch ELSE gen_random_uuid() END,
        since = CASE WHEN (SELECT reason FROM judged) IS NULL THEN epoch.since ELSE now() END,
        floor = CASE WHEN (SELECT reason FROM judged) IS NULL THEN epoch.floor ELSE '0' END,
        reason = coalesce((SELECT reason FROM judged), epoch.reason),
        system_identifier = excluded.system_identifier, timeline = excluded.timeline,
        database_oid = excluded.database_oid, declared = excluded.declared
    RETURNING epoch, floor, reason
)
SELECT s.epoch, s.floor::text, s.reason,
       coalesce(j.reason IN ('another cluster', 'another database'), false)
FROM settled s, judged j
