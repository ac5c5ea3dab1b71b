-- The file is settled: what was found is kept, so that nobody reads it again to know. Of an image, variants are to be
-- made; the job is there if this transaction commits, and costs no trip of its own.
UPDATE homing.media SET found_size = %(size)s, found_sha256 = %(sha256)s, completed_at = now(),
    image_state = CASE WHEN %(image)s THEN 'waiting' END
WHERE key = %(key)s
RETURNING completed_at,
    CASE WHEN %(image)s THEN homing.defer_job(%(task)s, jsonb_build_object('key', key), %(task)s || ' ' || key) END
