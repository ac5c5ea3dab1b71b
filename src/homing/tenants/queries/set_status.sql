-- From one of the given states to another, if it still is in one of them: of two commands at once, one wins.
UPDATE homing_control.tenants SET status = %(status)s, reason = %(reason)s
WHERE name = %(name)s AND status = ANY(%(expected)s::text[])
