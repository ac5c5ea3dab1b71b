"""Field data collection: forms, submissions with media, meters, teams (specs 1 and 2)."""

from homing.apps.fieldwork.declaration import declare
from homing.apps.fieldwork.media import find_media
from homing.apps.fieldwork.routes import ROUTES

__all__ = ["ROUTES", "declare", "find_media"]
