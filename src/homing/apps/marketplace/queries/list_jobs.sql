-- Jobs as places (when made, id), newest first. A line that ends in "when" stays only where that filter is asked for
-- (homing/postgres/lines.py). What the listing shows is read after it (show_jobs), so a page is a walk of one index.
SELECT j.created_at::text, j.id
FROM marketplace.jobs j
WHERE true
  AND j.status = 'open'  -- when open
  AND j.status = %(status)s::text::marketplace.job_status  -- when status
  AND j.client_id = %(client)s::uuid  -- when client
  AND j.freelancer_id = %(freelancer)s::uuid  -- when freelancer
  AND to_tsvector('english', j.title || ' ' || j.description) @@ websearch_to_tsquery('english', %(q)s::text)  -- when q
  AND marketplace.folded(j.skills) @> marketplace.folded(%(skills)s::text[])  -- when skills
  AND j.budget_kind = %(budget_kind)s::text::marketplace.budget_kind  -- when budget_kind
  AND coalesce(j.budget_max_cents, j.budget_min_cents) >= %(budget_min)s::bigint  -- when budget_min
  AND coalesce(j.budget_min_cents, j.budget_max_cents) <= %(budget_max)s::bigint  -- when budget_max
  AND (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY j.created_at DESC, j.id DESC
LIMIT %(limit)s
