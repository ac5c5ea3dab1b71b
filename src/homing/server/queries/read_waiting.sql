-- What waits for somebody, and whether the ground is prepared: partitions of next month, rows that no partition was made
-- for, and the epoch with the cluster it belongs to.
SELECT (SELECT count(*) FROM homing.sync_items WHERE quarantined_at IS NOT NULL AND discarded_at IS NULL) AS quarantined,
       (SELECT count(*) FROM homing.conflicts WHERE resolution = 'pending') AS conflicts,
       (SELECT count(*) FROM homing.sync_batches WHERE held_reason IS NOT NULL AND status = 'received') AS held,
       (SELECT count(*) FROM homing.enrollment_tokens
        WHERE used_at IS NULL AND cancelled_at IS NULL AND expires_at < now()) AS expired_enrolments,
       (SELECT count(*) FROM homing.users) AS user_count,
       (SELECT count(*) FROM homing.users WHERE role = 'OWNER' AND is_active) AS owners,
       (SELECT count(*) FROM homing.sync_metadata WHERE sync_status = 'error') AS sync_errors,
       (SELECT count(*) FROM homing.sync_metadata
        WHERE sync_status = 'syncing' AND updated_at < now() - interval '1 hour') AS stuck_syncs,
       to_regclass('homing.history_' || to_char(now() + interval '1 month', 'YYYYMM')) IS NOT NULL AS next_month,
       EXISTS (SELECT FROM homing.history_default) AS unplaced,
       e.epoch::text AS epoch,
       e.reason AS epoch_reason,
       e.since AS epoch_since,
       e.system_identifier = (SELECT c.system_identifier FROM pg_control_system() c) AS same_cluster
FROM homing.epoch e
