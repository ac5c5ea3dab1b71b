DELETE FROM homing.keys WHERE purpose = 'fingerprint';
ALTER TABLE homing.keys DROP CONSTRAINT keys_purpose_check;
ALTER TABLE homing.keys ADD CONSTRAINT keys_purpose_check CHECK (purpose IN ('access', 'token', 'media', 'identity'));
DROP FUNCTION homing.give_back_permits(bytea[], bigint[], integer[]);
DROP FUNCTION homing.take_permits(bytea[], integer[], integer[], integer[], bigint[], integer[], integer);
DROP TABLE homing.rate_counts;
