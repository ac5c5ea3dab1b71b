-- Another line of what devices may hold begins: every token of before must start again.
UPDATE homing.epoch SET epoch = gen_random_uuid(), since = now(), reason = %(reason)s::text, floor = '0'
