-- Sets of scopes that no token younger than the cutoff names.
DELETE FROM homing.scope_sets WHERE used_at < %(cutoff)s
