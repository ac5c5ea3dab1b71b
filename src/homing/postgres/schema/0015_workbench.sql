-- What the pages about devices and conflicts read in order, whatever the size of the tables.
CREATE INDEX mobile_devices_created ON homing.mobile_devices (created_at DESC, id DESC);
CREATE INDEX conflicts_device ON homing.conflicts (device_id) WHERE resolution = 'pending';
CREATE INDEX sync_items_quarantine_device ON homing.sync_items (device_id, quarantined_at DESC, id)
    WHERE quarantined_at IS NOT NULL AND discarded_at IS NULL;
-- A device is to start again: its tokens from before this moment are refused, its outbox stays.
ALTER TABLE homing.mobile_devices ADD COLUMN resync_at timestamptz;
