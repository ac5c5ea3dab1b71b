"""The rule of submissions, as a pure function of an edit: the server's check, and a replica's
(``Replica(path, checks=rules.CHECKS)``). What a form demands is judged by the server, which has its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from homing.declare import Edit, Refusal
from homing.declare.edits import Check


def place_is_readable(edit: Edit) -> Refusal | None:
    """``metadata`` is the client's own, but a ``gps`` in it puts the submission on the map, so it must be a place."""
    metadata = edit.values.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        return Refusal("invalid_value", "metadata is a JSON object", "/metadata")
    gps = metadata.get("gps")
    if gps is None:
        return None
    if not isinstance(gps, dict) or not {"lat", "lon"} <= gps.keys():
        return Refusal("invalid_value", 'gps is {"lat": …, "lon": …} in degrees', "/metadata/gps")
    for name, most in (("lat", 90), ("lon", 180)):
        degrees = gps[name]
        if isinstance(degrees, bool) or not isinstance(degrees, int | float) or not -most <= degrees <= most:
            return Refusal("invalid_value", f"{name} is a number from -{most} to {most}", f"/metadata/gps/{name}")
    return None


CHECKS: Final[Mapping[str, Sequence[Check]]] = {"fieldwork.submission": (place_is_readable,)}
"""Resource type → its rules."""
