-- The devices a caller may ask about: every one for the office, one's own for everybody else; or one of them by name. A
-- line that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py): along its index.
SELECT id FROM homing.mobile_devices
WHERE true
  AND user_id = %(user_id)s  -- when user_id
  AND device_id = %(device)s::text  -- when device
LIMIT 1000
