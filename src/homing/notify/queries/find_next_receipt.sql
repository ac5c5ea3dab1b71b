-- When the next receipt is to be asked for; NULL where none is.
SELECT min(receipt_at) FROM homing.push_deliveries WHERE receipt_at IS NOT NULL
