"""What happened before the pictures were taken and the pages looked at: on top of the demo's data, through the API."""

from __future__ import annotations

from dataclasses import dataclass, field

from homing.cli._demo.office import at_desk


@dataclass
class Scene:
    """``places``: ids to fill into addresses, by name."""

    places: dict[str, str] = field(default_factory=dict)


def play(url: str) -> Scene:
    """Make the scene on a server with the demo's data."""
    scene = Scene()
    with at_desk(url) as desk:
        (job, *_) = desk.call("GET", "/crm/jobs")["items"]
        scene.places["job"] = job["id"]
        desk.call("PATCH", f"/crm/jobs/{job['id']}", {"notes": "Bring the long ladder.", "title": "Replace the gutter"})
        desk.call("PATCH", f"/crm/jobs/{job['id']}", {"notes": "Bring the long ladder and the small one."})
    return scene
