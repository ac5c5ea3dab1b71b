-- The months to come, of all tables.
SELECT homing.make_partitions('homing.telemetry', today => %(today)s)
     + homing.make_partitions('homing.telemetry_metrics', today => %(today)s)
     + homing.make_partitions('homing.analytics_events', today => %(today)s)
