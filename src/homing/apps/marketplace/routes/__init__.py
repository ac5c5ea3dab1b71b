"""The routes of the marketplace, for web clients: the same rules as push, the same rows as pull."""

from homing.apps.marketplace.routes import payments

ROUTES = (*payments.ROUTES,)

SPEC_ROUTES = (*payments.SPEC_ROUTES,)
"""As the specification spells them, below ``/api``."""
