"""The routes of the marketplace, for web clients and phones: the same rules as push, the same rows as pull."""

from homing.apps.marketplace.routes import images, jobs, messages, offline, payments, profiles, proposals, saved_jobs

ROUTES = (
    *profiles.ROUTES,
    *jobs.ROUTES,
    *proposals.ROUTES,
    *saved_jobs.ROUTES,
    *messages.ROUTES,
    *images.ROUTES,
    *offline.ROUTES,
    *payments.ROUTES,
)
"""Under the base path."""

SPEC_ROUTES = (*jobs.SPEC_ROUTES, *profiles.SPEC_ROUTES, *offline.SPEC_ROUTES, *payments.SPEC_ROUTES)
"""As spec 4 spells them, below ``/api``."""
