-- For each of these jobs that is open still, the freelancers who share the most of its skills.
SELECT j.id, ARRAY(
    SELECT p.user_id
    FROM marketplace.profiles p
    WHERE marketplace.folded(p.skills) && marketplace.folded(j.skills)
      AND p.kind IN ('freelancer', 'both') AND p.is_available AND p.is_listed AND p.user_id <> j.client_id
    ORDER BY (SELECT count(*) FROM unnest(marketplace.folded(p.skills)) AS s(skill)
              WHERE s.skill = ANY (marketplace.folded(j.skills))) DESC, p.updated_at DESC
    LIMIT %(most)s)
FROM marketplace.jobs j
WHERE j.id = ANY (%(ids)s::uuid[]) AND j.status = 'open' AND cardinality(j.skills) > 0
