-- What an export says of the submissions of one page, in the page's order. A submission without a place of its own is
-- where its first photo with one was taken.
SELECT s.id::text, f.code, s.form_version, s.status::text, t.name, coalesce(u.username, u.name), d.device_id,
       to_char(s.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       to_char(s.reviewed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       s.review_notes, fieldwork.gps_lat(place.gps), fieldwork.gps_lon(place.gps), s.data,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'id', m.id, 'key', m.key, 'filename', m.filename,
                   'gps', CASE WHEN m.gps IS NOT NULL THEN jsonb_build_object(
                              'lat', fieldwork.gps_lat(m.gps), 'lon', fieldwork.gps_lon(m.gps)) END)
               ORDER BY m.created_at, m.id), '[]')
        FROM fieldwork.submission_media m WHERE m.submission_id = s.id)
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS listed (id, n)
JOIN fieldwork.submissions s ON s.id = listed.id
JOIN fieldwork.mobile_forms f ON f.id = s.form_id
LEFT JOIN fieldwork.teams t ON t.id = s.team_id
LEFT JOIN homing.users u ON u.id = s.author_id
LEFT JOIN homing.mobile_devices d ON d.id = s.device_id
CROSS JOIN LATERAL (
    SELECT coalesce(s.place, (SELECT m.gps FROM fieldwork.submission_media m
                              WHERE m.submission_id = s.id AND m.gps IS NOT NULL
                              ORDER BY m.created_at, m.id LIMIT 1)) AS gps
) AS place
ORDER BY listed.n
