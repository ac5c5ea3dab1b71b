"""What happened before the pictures were taken and the pages looked at: on top of the demo's data, through the API."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Scene:
    """``places``: ids to fill into addresses, by name."""

    places: dict[str, str] = field(default_factory=dict)


def play(url: str) -> Scene:
    """Make the scene on a server with the demo's data."""
    return Scene()
