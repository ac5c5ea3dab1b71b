-- Metrics first, then batches: the order in which they are written is the other way round, and neither refers to the
-- other, so a reader in between sees batches without metrics, never the reverse.
SELECT homing.drop_partitions('homing.telemetry_metrics', %(before)s)
     + homing.drop_partitions('homing.telemetry', %(before)s)
     + homing.drop_partitions('homing.analytics_events', %(before)s)
