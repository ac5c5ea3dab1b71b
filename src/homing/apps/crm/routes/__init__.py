"""HTTP for the web: the same rows and rules as sync, one file a thing."""

ROUTES = ()
