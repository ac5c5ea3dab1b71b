ALTER TABLE homing.mobile_devices DROP COLUMN resync_at;
DROP INDEX homing.sync_items_quarantine_device;
DROP INDEX homing.conflicts_device;
DROP INDEX homing.mobile_devices_created;
