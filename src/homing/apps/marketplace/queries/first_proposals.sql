-- Places of the proposals that the caller made or was made, the newest first, along both indexes.
SELECT p.created_at::text, p.id::text, p.id::text
FROM ((SELECT m.created_at, m.id FROM marketplace.proposals m
       WHERE m.freelancer_id = %(user)s::uuid
         AND (m.created_at, m.id) < (coalesce(%(after_at)s::timestamptz, 'infinity'),
                                     coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
       ORDER BY m.created_at DESC, m.id DESC LIMIT %(limit)s::bigint)
      UNION
      (SELECT g.created_at, g.id FROM marketplace.proposals g
       WHERE g.client_id = %(user)s::uuid
         AND (g.created_at, g.id) < (coalesce(%(after_at)s::timestamptz, 'infinity'),
                                     coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
       ORDER BY g.created_at DESC, g.id DESC LIMIT %(limit)s::bigint)) AS p
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s::bigint
