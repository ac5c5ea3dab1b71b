-- The months to come, of both tables.
SELECT homing.make_partitions('homing.telemetry', today => %(today)s)
     + homing.make_partitions('homing.telemetry_metrics', today => %(today)s)
