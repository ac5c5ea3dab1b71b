-- An upload that was settled, for the job that makes its variants.
SELECT image_state, content_type, filename, found_size, keep_metadata FROM homing.media WHERE key = %(key)s
