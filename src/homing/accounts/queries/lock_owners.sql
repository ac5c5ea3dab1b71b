-- The active owners, locked in order of id.
SELECT id FROM homing.users WHERE role = 'OWNER' AND is_active ORDER BY id FOR UPDATE
