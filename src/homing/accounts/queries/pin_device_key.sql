-- The device's key from now on; NULL: it has none.
UPDATE homing.mobile_devices
SET public_key = %(public_key)s, public_key_at = CASE WHEN %(public_key)s::jsonb IS NULL THEN NULL ELSE now() END
WHERE id = %(id)s
