-- A push token that moved to another device must not deliver one person's notifications to the next.
UPDATE homing.mobile_devices SET push_token = NULL WHERE push_token = %(push_token)s AND id <> %(id)s
