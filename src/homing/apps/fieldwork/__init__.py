"""Field data collection: forms, submissions with media, meters, teams (specs 1 and 2)."""

from homing.apps.fieldwork.declaration import declare
from homing.apps.fieldwork.media import find_media

__all__ = ["declare", "find_media"]
