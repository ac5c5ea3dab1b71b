-- What the server says of a row now, byte for byte.
INSERT INTO _base (resource_type, id, version, payload) VALUES (?, ?, ?, CAST(? AS TEXT))
ON CONFLICT (resource_type, id) DO UPDATE SET version = excluded.version, payload = excluded.payload
