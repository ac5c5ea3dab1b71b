-- Foreign keys of the rows that name files refuse this where such a row exists, or wait for the one being written.
DELETE FROM homing.media WHERE key = %(key)s AND referenced_at IS NULL AND created_at < %(before)s
