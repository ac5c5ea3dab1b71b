-- The office's decision. A revoked device gets no notifications either.
UPDATE homing.mobile_devices
SET status = %(status)s::homing.device_status,
    status_reason = %(reason)s,
    push_token = CASE WHEN %(status)s = 'revoked' THEN NULL ELSE push_token END
WHERE id = %(id)s
