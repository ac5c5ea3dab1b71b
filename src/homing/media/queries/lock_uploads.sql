-- One user's uploads, locked: nobody settles or sweeps them until this transaction ends. In key order, so that two
-- batches that name the same files cannot wait for each other.
SELECT key, filename, content_type, size_bytes, sha256, found_size, found_sha256, completed_at
FROM homing.media
WHERE key = ANY(%(keys)s) AND user_id = %(user_id)s
ORDER BY key
FOR UPDATE
