-- Sign out, or make room for the next pair of tokens.
DELETE FROM _session
