-- A token of this user, whoever's it was. The device's row says it too, and no other device's: a token that moved must
-- not deliver one person's notifications to the next.
WITH elsewhere AS (
    UPDATE homing.mobile_devices d SET push_token = NULL
    WHERE d.push_token = %(address)s::text AND d.id IS DISTINCT FROM %(device)s::uuid
), here AS (
    UPDATE homing.mobile_devices d SET push_token = %(address)s::text WHERE d.id = %(device)s::uuid
)
INSERT INTO homing.push_tokens (user_id, session_id, device_id, platform, provider, address, keys, created_at, renewed_at)
VALUES (%(user)s, %(session)s, %(device)s, %(platform)s, %(provider)s, %(address)s, %(keys)s, %(now)s, %(now)s)
ON CONFLICT (address) DO UPDATE SET
    user_id = excluded.user_id, session_id = excluded.session_id, device_id = excluded.device_id,
    platform = excluded.platform, provider = excluded.provider, keys = excluded.keys, renewed_at = excluded.renewed_at
