-- A device registers for the first time; otherwise nothing happens.
INSERT INTO homing.mobile_devices (device_id) VALUES (%(device)s) ON CONFLICT (device_id) DO NOTHING
