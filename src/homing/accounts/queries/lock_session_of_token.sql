-- Redemptions of one family go one after the other. A statement of its own, so that the next one sees what the
-- transaction before us did.
SELECT s.id FROM homing.sessions s
JOIN homing.refresh_tokens t ON t.session_id = s.id
WHERE t.token_hash = %(token_hash)s
FOR UPDATE OF s
