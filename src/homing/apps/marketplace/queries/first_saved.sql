-- Places of what the caller saved, the newest first, along its index.
SELECT s.created_at::text, s.id::text, s.id::text
FROM marketplace.saved_jobs s
WHERE s.user_id = %(user)s::uuid
  AND (s.created_at, s.id) < (coalesce(%(after_at)s::timestamptz, 'infinity'),
                              coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
ORDER BY s.created_at DESC, s.id DESC
LIMIT %(limit)s::bigint
