-- Profiles as places (when made, id), newest first; see list_jobs.sql for "when".
SELECT p.created_at::text, p.id
FROM marketplace.profiles p
WHERE p.is_listed
  AND p.kind IN (%(kind)s::text::marketplace.profile_kind, 'both')  -- when kind
  AND p.is_available  -- when available
  AND to_tsvector('english', p.name || ' ' || coalesce(p.headline, '') || ' ' || p.bio) @@ websearch_to_tsquery('english', %(q)s::text)  -- when q
  AND marketplace.folded(p.skills) @> marketplace.folded(%(skills)s::text[])  -- when skills
  AND (p.created_at, p.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s
