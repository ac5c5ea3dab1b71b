-- The same as list_jobs, but only among the newest open jobs (or those behind the page before): a word that most jobs have
-- fills a page from these, where the index of words would find and sort all of them. See list_jobs.sql for "when".
SELECT t.created_at::text, t.id
FROM (
    SELECT j.created_at, j.id, j.title, j.description, j.skills
    FROM marketplace.jobs j
    WHERE j.status = 'open'
      AND j.budget_kind = %(budget_kind)s::text::marketplace.budget_kind  -- when budget_kind
      AND coalesce(j.budget_max_cents, j.budget_min_cents) >= %(budget_min)s::bigint  -- when budget_min
      AND coalesce(j.budget_min_cents, j.budget_max_cents) <= %(budget_max)s::bigint  -- when budget_max
      AND (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
    ORDER BY j.created_at DESC, j.id DESC
    LIMIT %(window)s
) AS t
WHERE true
  AND to_tsvector('english', t.title || ' ' || t.description) @@ websearch_to_tsquery('english', %(q)s::text)  -- when q
  AND marketplace.folded(t.skills) @> marketplace.folded(%(skills)s::text[])  -- when skills
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s
