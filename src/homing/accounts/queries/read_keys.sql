-- The keys in use, the newest of each purpose first: it signs.
SELECT id, purpose, secret FROM homing.keys WHERE retired_at IS NULL ORDER BY created_at DESC, id
