-- How an upload's image stands, with its variants, the smallest first; one row without a kind where it has none.
SELECT m.image_state, m.image_problem, v.kind, v.format, v.width, v.height, v.bytes
FROM homing.media m
LEFT JOIN homing.image_variants v ON v.media_id = m.key AND m.image_state = 'made'
WHERE m.key = %(key)s
ORDER BY v.width * v.height, v.kind, v.format
