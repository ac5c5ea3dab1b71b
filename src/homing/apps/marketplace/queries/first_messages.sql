-- Places of the messages that the caller sent or got, the newest first, along both indexes.
SELECT m.created_at::text, m.id::text, m.id::text
FROM ((SELECT g.created_at, g.id FROM marketplace.messages g
       WHERE g.recipient_id = %(user)s::uuid
         AND (g.created_at, g.id) < (coalesce(%(after_at)s::timestamptz, 'infinity'),
                                     coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
       ORDER BY g.created_at DESC, g.id DESC LIMIT %(limit)s::bigint)
      UNION
      (SELECT s.created_at, s.id FROM marketplace.messages s
       WHERE s.sender_id = %(user)s::uuid
         AND (s.created_at, s.id) < (coalesce(%(after_at)s::timestamptz, 'infinity'),
                                     coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
       ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s::bigint)) AS m
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s::bigint
