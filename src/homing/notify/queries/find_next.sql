-- When the next delivery is due; NULL where nothing waits.
SELECT min(not_before) FROM homing.push_deliveries WHERE status = 'pending'
