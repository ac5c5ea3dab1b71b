"""Field data collection: forms, submissions with media, meters, teams (specs 1 and 2)."""

from homing.apps.fieldwork.declaration import declare
from homing.apps.fieldwork.media import find_media
from homing.apps.fieldwork.routes import ROUTES
from homing.apps.fieldwork.rules import CHECKS

__all__ = ["CHECKS", "ROUTES", "declare", "find_media"]
