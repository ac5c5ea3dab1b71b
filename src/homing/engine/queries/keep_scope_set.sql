-- Store a set of scopes by its content.
INSERT INTO homing.scope_sets (digest, scopes) VALUES (%(digest)s, %(scopes)s::text[])
ON CONFLICT (digest) DO UPDATE SET used_at = now()
