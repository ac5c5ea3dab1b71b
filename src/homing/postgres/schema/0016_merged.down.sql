DROP INDEX homing.sync_items_merged;
