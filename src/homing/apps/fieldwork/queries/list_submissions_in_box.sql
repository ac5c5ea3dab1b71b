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
      -- include _submission_filters
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
       -- include _submission_filters
     ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s::int)
) AS t
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s::int
