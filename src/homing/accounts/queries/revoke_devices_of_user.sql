-- Revoke what a user works on: these devices are nobody's from now on, and what they hold has to go.
UPDATE homing.mobile_devices SET status = 'revoked', status_reason = %(reason)s WHERE user_id = %(user)s AND status <> 'revoked'
