-- The row moved on while the conflict waited: show the office what it is now.
UPDATE homing.conflicts SET server_payload = %(payload)s::text::jsonb, server_version = %(version)s WHERE id = %(conflict)s
