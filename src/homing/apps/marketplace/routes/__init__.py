"""The routes of the marketplace, for web clients: the same rules as push, the same rows as pull."""

ROUTES = ()
