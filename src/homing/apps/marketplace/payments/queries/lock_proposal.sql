-- One at a time for a proposal's payments: asking for one, and being told that another succeeded, do not overlap. Not a
-- row lock: sync locks proposals too, in an order of its own.
SELECT pg_advisory_xact_lock(hashtextextended('marketplace payment ' || %(proposal)s::text, 0))
