-- How an upload's image stands, and its best variant of a kind: of the formats asked for the one named first. Whether
-- there is an original of its own is asked along, because where there is none the upload is its own.
SELECT m.image_state, m.image_problem, m.keep_metadata, m.user_id, v.key, v.format
FROM homing.media m
LEFT JOIN LATERAL (
    SELECT i.key, i.format FROM homing.image_variants i
    WHERE i.media_id = m.key AND i.kind = %(kind)s AND i.format = ANY (%(formats)s::text[])
    ORDER BY array_position(%(formats)s::text[], i.format)
    LIMIT 1) v ON m.image_state = 'made'
WHERE m.key = %(key)s
