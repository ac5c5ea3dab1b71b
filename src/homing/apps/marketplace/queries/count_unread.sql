-- How many messages somebody has not read.
SELECT count(*) FROM marketplace.messages m WHERE m.recipient_id = %(user)s::uuid AND NOT m.is_read
