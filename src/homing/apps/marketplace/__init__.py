"""The marketplace: freelancers' profiles, jobs, proposals, saved jobs, messages, for phones and the web (spec 4)."""

from homing.apps.marketplace.declaration import declare
from homing.apps.marketplace.images import find_media
from homing.apps.marketplace.notices import NOTICES
from homing.apps.marketplace.payments.look_again import LOOK_AGAIN
from homing.apps.marketplace.routes import ROUTES, SPEC_ROUTES
from homing.apps.marketplace.rules import CHECKS
from homing.apps.marketplace.views import VIEWS

JOBS = [NOTICES, VIEWS, LOOK_AGAIN]

__all__ = ["CHECKS", "JOBS", "ROUTES", "SPEC_ROUTES", "declare", "find_media"]
