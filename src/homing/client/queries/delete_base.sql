-- A first sync that starts again.
DELETE FROM _base
