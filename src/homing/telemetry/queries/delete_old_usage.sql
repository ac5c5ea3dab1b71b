-- What events amounted to, as long as they are kept.
DELETE FROM homing.usage_days WHERE day < (%(before)s::timestamptz AT TIME ZONE 'UTC')::date
