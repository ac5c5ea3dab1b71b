-- What a device sent of a row that was merged since the base of its next edit (engine/base.py).
CREATE INDEX sync_items_merged ON homing.sync_items (row_id, device_id)
    WHERE merged AND status = 'ok' AND action = 'update' AND NOT again;
