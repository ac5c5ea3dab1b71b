-- Somebody looked at a profile: once a day, and not at their own.
INSERT INTO marketplace.profile_visits (profile_id, visitor_id, visited_on)
SELECT p.id, %(visitor)s, %(today)s
FROM marketplace.profiles p
WHERE p.id = %(profile)s AND p.user_id <> %(visitor)s
ON CONFLICT DO NOTHING
