-- The tokens of the signed-in user.
INSERT INTO _session (id, access_token, refresh_token) VALUES (1, :access_token, :refresh_token)
