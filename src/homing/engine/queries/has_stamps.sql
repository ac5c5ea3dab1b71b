-- Whether a table still has the triggers it was given: one that was dropped and made anew has not.
SELECT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s::text AND c.relname = %(table)s::text AND t.tgname = 'zz_homing_stamp_update') AS there
