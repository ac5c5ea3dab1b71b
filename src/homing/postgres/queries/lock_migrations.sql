-- One node migrates at a time; the others wait here and then find the work done. Released by COMMIT, so it also works
-- through a pooler, where a session lock would not.
SELECT pg_advisory_xact_lock(hashtextextended('homing migrations', 0))
