-- template: nothing to fill in, but `changed` is a stamp, which the engine gives the table after the migrations.
-- The other jobs that the caller holds: offered, won, or with a proposal. What was saved before the load began came with
-- what is saved; what was saved since may come twice, so that it comes at all.
SELECT j.created_at::text, j.id::text, j.id::text
FROM (SELECT id FROM marketplace.jobs WHERE client_id = %(user)s::uuid
      UNION SELECT id FROM marketplace.jobs WHERE freelancer_id = %(user)s::uuid
      UNION SELECT id FROM marketplace.jobs WHERE id = ANY (%(followed)s::uuid[])) AS held
JOIN marketplace.jobs j ON j.id = held.id
WHERE (j.created_at, j.id) < (coalesce(%(after_at)s::timestamptz, 'infinity'),
                              coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
  AND NOT EXISTS (SELECT FROM marketplace.saved_jobs s WHERE s.user_id = %(user)s::uuid AND s.job_id = j.id
                  AND pg_visible_in_snapshot(s.changed, %(until)s::text::pg_snapshot))
ORDER BY j.created_at DESC, j.id DESC
LIMIT %(limit)s::bigint
