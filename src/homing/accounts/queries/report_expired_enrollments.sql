-- Spec 3, "Get Expired Enrollment Tokens", each reported once; and no expired token's secret is kept, used or not.
WITH forgotten AS (
    UPDATE homing.enrollment_tokens SET secret_hash = NULL, redeemer_hash = NULL
    WHERE expires_at < now() AND used_at IS NOT NULL AND secret_hash IS NOT NULL
)
UPDATE homing.enrollment_tokens
SET reported_at = now(), secret_hash = NULL
WHERE expires_at < now() AND used_at IS NULL AND cancelled_at IS NULL AND reported_at IS NULL
RETURNING id, created_by, expires_at
