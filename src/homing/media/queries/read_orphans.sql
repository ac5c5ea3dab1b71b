-- Uploads that no row names, oldest first. Deleting one asks the foreign keys again: this list may be out of date.
SELECT key FROM homing.media
WHERE referenced_at IS NULL AND created_at < %(before)s
ORDER BY created_at
LIMIT %(limit)s
