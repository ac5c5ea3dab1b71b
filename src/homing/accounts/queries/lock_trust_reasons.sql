-- A device's reasons, locked: two events at once must both count.
SELECT trust_reasons FROM homing.mobile_devices WHERE id = %(id)s FOR NO KEY UPDATE
