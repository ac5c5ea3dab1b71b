-- A promise of a file. Counting what is open and adding to it is not one atomic step: the bound is there against floods,
-- and a few over it do no harm. The count stops at the bound, so it costs the same however many there are.
INSERT INTO homing.media (key, user_id, device_id, filename, content_type, size_bytes, sha256, keep_metadata)
SELECT %(key)s, %(user_id)s, %(device_id)s, %(filename)s, %(content_type)s, %(size_bytes)s, %(sha256)s, %(keep_metadata)s
WHERE (SELECT count(*) FROM (SELECT FROM homing.media WHERE user_id = %(user_id)s AND completed_at IS NULL
                             LIMIT %(begun_max)s) begun) < %(begun_max)s
