-- One upload, locked until this transaction ends, for whoever holds its signed address.
SELECT key, filename, content_type, size_bytes, sha256, found_size, found_sha256, completed_at
FROM homing.media
WHERE key = %(key)s
FOR UPDATE
