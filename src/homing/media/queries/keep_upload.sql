-- A foreign key knows better than referenced_at did: the sweep need not look at this one again.
UPDATE homing.media SET referenced_at = now() WHERE key = %(key)s AND referenced_at IS NULL
