-- One stored set of scopes; reading it says it is in use.
UPDATE homing.scope_sets SET used_at = now() WHERE digest = %(digest)s RETURNING scopes
