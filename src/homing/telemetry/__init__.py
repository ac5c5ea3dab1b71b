"""What devices measure about themselves: batches in, metrics out by name, device and time, old months dropped."""

from __future__ import annotations

from homing.telemetry.retention import drop_older, make_ahead
from homing.telemetry.rollups import add_up

__all__ = ["add_up", "drop_older", "make_ahead"]
