-- Whether this database has control tables: one that never had a tenant created may have none.
SELECT to_regclass('homing_control.directory') IS NOT NULL
