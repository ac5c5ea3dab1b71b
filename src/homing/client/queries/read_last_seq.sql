-- The newest edit.
SELECT coalesce(max(seq), 0) AS seq FROM _outbox
