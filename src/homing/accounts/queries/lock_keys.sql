-- Two nodes that start on a new database at once must not each make keys of their own.
SELECT pg_advisory_xact_lock(hashtextextended('homing keys', 0))
