-- The file is settled: what was found is kept, so that nobody reads it again to know.
UPDATE homing.media SET found_size = %(size)s, found_sha256 = %(sha256)s, completed_at = now()
WHERE key = %(key)s
RETURNING completed_at
