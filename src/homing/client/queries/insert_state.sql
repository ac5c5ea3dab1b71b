-- A new replica: the device's name is made once and stays, because the server's idempotency keys belong to it.
INSERT INTO _state (id, device_id) VALUES (1, :device_id)
