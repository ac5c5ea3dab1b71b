-- Redeem a token: its parent is spent now, its successor is known from now on (again, after a lost answer), and bait
-- that is old enough is forgotten. Who refreshes is active: on this platform, with this device.
WITH redeemed AS (
    UPDATE homing.refresh_tokens SET used_at = coalesce(used_at, %(now)s) WHERE token_hash = %(token_hash)s
), spent AS (
    UPDATE homing.refresh_tokens SET spent_at = %(now)s WHERE token_hash = %(parent_hash)s AND spent_at IS NULL
), forgotten AS (
    DELETE FROM homing.refresh_tokens
    WHERE session_id = %(session)s AND spent_at < %(forget_before)s AND token_hash <> %(token_hash)s
), used AS (
    UPDATE homing.sessions SET last_used_at = %(now)s WHERE id = %(session)s
    RETURNING user_id, device_id, platform
), active AS (
    UPDATE homing.mobile_sessions m SET last_active = %(now)s
    FROM used u WHERE m.device_id = u.device_id AND m.user_id = u.user_id
), seen AS (
    UPDATE homing.users p SET last_platform = u.platform
    FROM used u WHERE p.id = u.user_id AND p.last_platform IS DISTINCT FROM u.platform
)
INSERT INTO homing.refresh_tokens (token_hash, session_id, parent_hash, issued_at)
VALUES (%(successor_hash)s, %(session)s, %(token_hash)s, %(now)s)
ON CONFLICT (token_hash) DO NOTHING
