-- An image of an upload that was verified. Named again, it is the same image; the update that changes nothing gives its id.
INSERT INTO marketplace.images AS i (user_id, key, filename, content_type, size_bytes)
VALUES (%(user)s, %(key)s, %(filename)s, %(content_type)s, %(size_bytes)s)
ON CONFLICT ON CONSTRAINT images_file DO UPDATE SET key = i.key
RETURNING i.id
