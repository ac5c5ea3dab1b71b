DELETE FROM homing.keys WHERE purpose = 'identity';
ALTER TABLE homing.keys DROP CONSTRAINT keys_purpose_check;
ALTER TABLE homing.keys ADD CONSTRAINT keys_purpose_check CHECK (purpose IN ('access', 'token', 'media'));
ALTER TABLE homing.mobile_devices DROP COLUMN public_key, DROP COLUMN public_key_at;
ALTER TABLE homing.users DROP COLUMN enrollment_token_id;
DROP TABLE homing.enrollment_tokens;
