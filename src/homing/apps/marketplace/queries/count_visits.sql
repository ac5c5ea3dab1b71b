-- Visits that were not counted yet, added to their profiles: in order of id, as push locks rows.
WITH counted AS (
    UPDATE marketplace.profile_visits SET counted = true WHERE NOT counted RETURNING profile_id
), found AS MATERIALIZED (
    SELECT p.id, (SELECT count(*) FROM counted c WHERE c.profile_id = p.id) AS visits
    FROM marketplace.profiles p
    WHERE p.id IN (SELECT profile_id FROM counted)
    ORDER BY p.id
    FOR UPDATE
)
UPDATE marketplace.profiles p SET profile_views = p.profile_views + found.visits
FROM found WHERE found.id = p.id
