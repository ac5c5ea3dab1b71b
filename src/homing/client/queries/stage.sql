-- A change of a delta that is not whole yet; the latest one of a row counts.
INSERT INTO _staged (resource_type, id, version, payload) VALUES (?, ?, ?, CAST(? AS TEXT))
ON CONFLICT (resource_type, id) DO UPDATE SET version = excluded.version, payload = excluded.payload
