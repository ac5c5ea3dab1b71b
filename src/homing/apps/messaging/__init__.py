"""Messages between the office's web pages and people in the field (spec 3)."""

from homing.apps.messaging.declaration import declare
from homing.apps.messaging.health import count_health
from homing.apps.messaging.routes import ROUTES
from homing.apps.messaging.rules import CHECKS

__all__ = ["CHECKS", "ROUTES", "count_health", "declare"]
