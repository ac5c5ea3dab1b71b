-- An upload of the caller, to give it a new address.
SELECT content_type, completed_at IS NOT NULL FROM homing.media WHERE key = %(key)s AND user_id = %(user_id)s
