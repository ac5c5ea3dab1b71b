-- Nothing is pushed to this session's app or browser, or to its device, any more.
WITH device AS (
    UPDATE homing.mobile_devices d SET push_token = NULL WHERE d.id = %(device)s::uuid AND d.push_token IS NOT NULL
)
DELETE FROM homing.push_tokens t WHERE t.session_id = %(session)s::uuid OR t.device_id = %(device)s::uuid
