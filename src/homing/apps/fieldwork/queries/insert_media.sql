-- The files that a batch's submissions name. The trigger place_media gives each row its submission's team and author.
INSERT INTO fieldwork.submission_media
    (submission_id, key, filename, content_type, size_bytes, uploaded_at, captured_at, gps)
SELECT n.submission, n.key, n.filename, n.type, n.size, n.uploaded, n.captured,
       CASE WHEN n.lat IS NOT NULL THEN fieldwork.gps_from(n.lat, n.lon) END
FROM unnest(%(submissions)s::uuid[], %(keys)s::text[], %(filenames)s::text[], %(types)s::text[], %(sizes)s::bigint[],
            %(uploaded)s::timestamptz[], %(captured)s::timestamptz[], %(lats)s::float8[], %(lons)s::float8[])
     AS n (submission, key, filename, type, size, uploaded, captured, lat, lon)
ON CONFLICT ON CONSTRAINT submission_media_key DO NOTHING
