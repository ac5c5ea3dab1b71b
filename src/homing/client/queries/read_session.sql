-- The tokens of the signed-in user.
SELECT access_token, refresh_token FROM _session
