-- The fingerprint of a user's device: its id, and whether it had another one. No row where it is the same, or nobody's.
WITH known AS (
    SELECT id, fingerprint FROM homing.mobile_devices
    WHERE device_id = %(device)s AND user_id = %(user)s AND fingerprint IS DISTINCT FROM %(fingerprint)s
    FOR NO KEY UPDATE
)
UPDATE homing.mobile_devices d SET fingerprint = %(fingerprint)s, fingerprint_at = %(now)s
FROM known k WHERE d.id = k.id
RETURNING d.id, k.fingerprint IS NOT NULL
