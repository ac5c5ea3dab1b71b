-- Say which device acts, for the rest of the transaction; and whether this epoch is still the database's.
SELECT set_config('homing.device', %(device)s::text, true), EXISTS (SELECT FROM homing.epoch WHERE epoch = %(epoch)s)
