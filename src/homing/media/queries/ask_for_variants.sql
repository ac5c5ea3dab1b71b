-- An image that was settled before there were variants waits for them now; nothing where it does or did.
WITH asked AS (
    UPDATE homing.media SET image_state = 'waiting'
    WHERE key = %(key)s AND image_state IS NULL AND completed_at IS NOT NULL
    RETURNING key
)
SELECT homing.defer_job(%(task)s, jsonb_build_object('key', key), %(task)s || ' ' || key) FROM asked
