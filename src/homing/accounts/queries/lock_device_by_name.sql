-- A device as it stood before this registration, locked.
SELECT id, user_id, status::text AS status, metadata, app_version, public_key, fingerprint
FROM homing.mobile_devices WHERE device_id = %(device)s FOR UPDATE
