"""What devices measure about themselves: batches in, metrics out by name, device and time, old months dropped."""

from __future__ import annotations

from homing.telemetry.retention import drop_older, make_ahead

__all__ = ["drop_older", "make_ahead"]
