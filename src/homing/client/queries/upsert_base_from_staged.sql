-- A staged delta becomes the base.
INSERT INTO _base (resource_type, id, version, payload)
SELECT resource_type, id, version, payload FROM _staged WHERE payload IS NOT NULL
ON CONFLICT (resource_type, id) DO UPDATE SET version = excluded.version, payload = excluded.payload
