-- What a device sent of a row, where the history has something else, since the base of its next edit (engine/base.py).
CREATE INDEX sync_items_merged ON homing.sync_items (row_id, device_id)
    WHERE (merged OR status = 'conflict') AND action = 'update' AND NOT again;
