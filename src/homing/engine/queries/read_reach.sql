-- template: the devices whose users hold a row, and whether what they acked covers a version of it.
-- One line at least, for the row itself. The sub-select over the row's table comes last and alone, so that the scopes'
-- expressions find only the row's columns in sight. Who sees a later version has this one too.
WITH the_row AS (
    SELECT t.{version} AS version, t.changed FROM {table} AS t WHERE t.{key} = %(id)s::text::{type}
), written AS (
    SELECT h.xid FROM homing.history h
    WHERE h.table_id = %(table_id)s AND h.row_id = %(id)s AND h.version = %(version)s ORDER BY h.at DESC LIMIT 1
), seen_last AS (
    SELECT d.id, d.device_id, d.user_id, d.last_seen FROM homing.mobile_devices d
    WHERE d.status = 'active' AND d.user_id IS NOT NULL AND d.last_seen IS NOT NULL
    ORDER BY d.last_seen DESC LIMIT %(limit)s + 1
)
SELECT EXISTS (SELECT FROM the_row), (SELECT version FROM the_row), (SELECT count(*) FROM seen_last),
       homing_holder.id, homing_holder.device_id, u.username, homing_holder.last_seen, c.acked_at,
       c.epoch = e.epoch AND (
           pg_visible_in_snapshot((SELECT xid FROM written), c.snapshot)
           OR ((SELECT version FROM the_row) >= %(version)s
               AND pg_visible_in_snapshot((SELECT changed FROM the_row), c.snapshot))) IS TRUE,
       coalesce(holds.held, false)
FROM homing.epoch e
LEFT JOIN (SELECT * FROM seen_last LIMIT %(limit)s) AS homing_holder ON true
LEFT JOIN homing.users u ON u.id = homing_holder.user_id
LEFT JOIN homing.cursors c ON c.device_id = homing_holder.id
LEFT JOIN LATERAL (
    SELECT {held} AS held FROM {table} WHERE {key} = %(id)s::text::{type}
) AS holds ON true
ORDER BY homing_holder.last_seen DESC NULLS LAST
