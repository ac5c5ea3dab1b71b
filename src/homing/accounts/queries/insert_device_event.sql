-- Something happened to a device.
INSERT INTO homing.device_events (device_id, kind, user_id, at, details)
VALUES (%(device)s, %(kind)s, %(user)s, %(now)s, %(details)s)
