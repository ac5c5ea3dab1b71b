-- What happened in a month that had no partition.
DELETE FROM homing.analytics_events_default WHERE at < %(before)s
