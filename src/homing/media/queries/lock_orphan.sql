-- Whoever makes this upload's variants is done or waits, so that the sweep sees all of them.
SELECT FROM homing.media WHERE key = %(key)s AND referenced_at IS NULL AND created_at < %(before)s FOR UPDATE
