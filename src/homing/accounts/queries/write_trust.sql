-- The score and what it was computed from, always together.
UPDATE homing.mobile_devices SET trust_score = %(score)s, trust_reasons = %(reasons)s WHERE id = %(id)s
