-- What was applied to this database. In public, because the schema homing is itself made, and dropped, by a migration.
CREATE TABLE IF NOT EXISTS public.homing_migrations (
    set text NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (set, version)
)
