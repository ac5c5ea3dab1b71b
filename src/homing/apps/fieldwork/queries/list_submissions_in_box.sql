-- One page of the submissions in a map's box, newest first, as places (when made, id); see list_submissions.sql for
-- "when". The box's index knows no order: of a box around a town it would read and sort years. So it is asked only where
-- it has few; otherwise the newest that pass the other filters are walked through, and if no page is among so many, it is
-- asked after all. A submission is where it says, or where a photo of it was taken. A box that crosses the date line is
-- two: to the "edge" of the map, and "beyond" it, which is NULL for others.
WITH few AS MATERIALIZED (
    SELECT count(*) < 1000 AS said FROM (
        SELECT FROM fieldwork.submissions s WHERE fieldwork.gps_within(s.place, %(west)s::float8, %(south)s::float8, %(edge)s::float8, %(north)s::float8)
        UNION ALL
        SELECT FROM fieldwork.submission_media m WHERE fieldwork.gps_within(m.gps, %(west)s::float8, %(south)s::float8, %(edge)s::float8, %(north)s::float8)
        UNION ALL
        SELECT FROM fieldwork.submissions s WHERE fieldwork.gps_within(s.place, -180, %(south)s::float8, %(beyond)s::float8, %(north)s::float8)
        UNION ALL
        SELECT FROM fieldwork.submission_media m WHERE fieldwork.gps_within(m.gps, -180, %(south)s::float8, %(beyond)s::float8, %(north)s::float8)
        LIMIT 1000) there
), walked AS MATERIALIZED (
    SELECT s.created_at, s.id, s.place FROM fieldwork.submissions s
    WHERE NOT (SELECT f.said FROM few f)
      AND (s.team_id = ANY (ARRAY(SELECT m.team_id FROM fieldwork.team_members m WHERE m.user_id = %(user)s)) OR s.author_id = %(user)s)  -- when worker
      AND s.form_id = (SELECT f.id FROM fieldwork.mobile_forms f WHERE f.id = %(form_id)s::uuid OR f.code = %(form)s)  -- when form
      AND s.device_id = (SELECT d.id FROM homing.mobile_devices d WHERE d.id = %(device_id)s::uuid OR d.device_id = %(device)s ORDER BY d.device_id = %(device)s DESC LIMIT 1)  -- when device
      AND s.status = 'pending'  -- when pending
      AND s.status = 'approved'  -- when approved
      AND s.status = 'rejected'  -- when rejected
      AND s.team_id = %(team)s::uuid  -- when team
      AND s.author_id = %(author)s::uuid  -- when author
      AND s.created_at >= %(since)s::timestamptz  -- when since
      AND s.created_at < %(until)s::timestamptz  -- when until
      AND (s.created_at, s.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
    ORDER BY s.created_at DESC, s.id DESC LIMIT 5000 + 40 * %(limit)s::int
), near AS MATERIALIZED (
    SELECT w.created_at, w.id FROM walked w
    WHERE fieldwork.gps_within(w.place, %(west)s::float8, %(south)s::float8, %(edge)s::float8, %(north)s::float8)
       OR fieldwork.gps_within(w.place, -180, %(south)s::float8, %(beyond)s::float8, %(north)s::float8)
       OR (SELECT true FROM fieldwork.submission_media m WHERE m.submission_id = w.id
             AND (fieldwork.gps_within(m.gps, %(west)s::float8, %(south)s::float8, %(edge)s::float8, %(north)s::float8)
                  OR fieldwork.gps_within(m.gps, -180, %(south)s::float8, %(beyond)s::float8, %(north)s::float8)) LIMIT 1)
    ORDER BY w.created_at DESC, w.id DESC LIMIT %(limit)s::int
), enough AS MATERIALIZED (
    SELECT NOT (SELECT f.said FROM few f)
           AND ((SELECT count(*) FROM near) >= %(limit)s::int OR (SELECT count(*) FROM walked) < 5000 + 40 * %(limit)s::int) AS said
)
SELECT t.created_at::text, t.id
FROM (
    SELECT n.created_at, n.id FROM near n WHERE (SELECT e.said FROM enough e)
    UNION ALL
    (SELECT s.created_at, s.id
     FROM fieldwork.submissions_within(%(west)s, %(south)s, %(east)s, %(north)s) AS w (id)
     JOIN fieldwork.submissions s ON s.id = w.id
     WHERE NOT (SELECT e.said FROM enough e)
       AND (s.team_id = ANY (ARRAY(SELECT m.team_id FROM fieldwork.team_members m WHERE m.user_id = %(user)s)) OR s.author_id = %(user)s)  -- when worker
       AND s.form_id = (SELECT f.id FROM fieldwork.mobile_forms f WHERE f.id = %(form_id)s::uuid OR f.code = %(form)s)  -- when form
       AND s.device_id = (SELECT d.id FROM homing.mobile_devices d WHERE d.id = %(device_id)s::uuid OR d.device_id = %(device)s ORDER BY d.device_id = %(device)s DESC LIMIT 1)  -- when device
       AND s.status = 'pending'  -- when pending
       AND s.status = 'approved'  -- when approved
       AND s.status = 'rejected'  -- when rejected
       AND s.team_id = %(team)s::uuid  -- when team
       AND s.author_id = %(author)s::uuid  -- when author
       AND s.created_at >= %(since)s::timestamptz  -- when since
       AND s.created_at < %(until)s::timestamptz  -- when until
       AND (s.created_at, s.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s::int)
) AS t
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s::int
