"""What happened before the pictures were taken and the pages looked at: on top of the demo's data, through the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from homing.cli._demo.office import Desk, at_desk
from tests.console import scene_sync

DEVICES = (
    ("ana", "anas-tablet", "tablet", "Android 15", "2.4.1"),
    ("ana", "anas-phone", "phone", "Android 15", "2.4.1"),
    ("ben", "bens-phone", "phone", "iOS 19.1", "2.4.0"),
    ("dora", "doras-phone", "phone", "iOS 18.6", "2.3.9"),
    ("dora", "doras-tablet", "tablet", "Android 14", "2.4.1"),
)


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
        scene.places["form"] = _changed_form(desk)
        desk.call("PATCH", f"/crm/jobs/{job['id']}", {"notes": "Bring the long ladder.", "title": "Replace the gutter"})
        desk.call("PATCH", f"/crm/jobs/{job['id']}", {"notes": "Bring the long ladder and the small one."})
        (ana,) = desk.call("GET", "/users", q="ana")["items"]
        scene.places["user"] = ana["id"]
        meters = {meter["code"]: meter for meter in desk.call("GET", "/meters")["items"]}
        for login, device, kind, system, version in DEVICES:
            with at_desk(url, login) as worker:
                worker.sign_in(login, device_id=device)
                described = {"device_type": kind, "os_version": system, "app_version": version}
                worker.call("POST", "/mobile/devices", {"device_id": device, **described})
                pulled = worker.call("POST", "/mobile/sync/pull", {"since_token": None})
                worker.call("POST", "/mobile/sync/ack", {"ack_token": pulled["next_token"]})
                mine = [row for row in pulled["changes"] if row["resource_type"] == "meter"]
                for number, row in enumerate(mine):
                    _edit(worker, row, {"reading": 140 + number})
        # The office reads the same meters: what the devices send next is a conflict.
        for code, meter in meters.items():
            desk.call("PATCH", f"/meters/{meter['id']}", {"reading": 150, "notes": f"Read from the radio log, {code}"})
        for login, device, *_ in DEVICES[:4]:
            with at_desk(url, login) as worker:
                worker.sign_in(login, device_id=device)
                _edit(worker, _row(meters, login), {"reading": 160 + len(device)}, version=1)
        with at_desk(url, "ben") as worker:
            worker.sign_in("ben", device_id="bens-phone")
            _push(worker, [{"resource_type": "meter", "action": "create", "payload": {"reading": "a lot"}}])
        devices = desk.call("GET", "/mobile/devices")["items"]
        scene.places["device"] = devices[0]["id"]
        (lost,) = [each for each in devices if each["device_id"] == "doras-tablet"]
        desk.call("PATCH", f"/mobile/devices/{lost['id']}", {"status": "suspended", "reason": "Left on the ferry"})
        conflicts = desk.call("GET", "/mobile/conflicts", resolution="pending")["items"]
        scene.places["conflict"] = conflicts[0]["id"] if conflicts else ""
        scene.places |= scene_sync.play(url, desk)
        scene.places["customer"] = job["customer_id"]
        scene.places["submission"] = desk.call("GET", "/submissions", limit=1)["items"][0]["id"]
        scene.places["enrolment"] = desk.call("POST", "/enrollments", {"username": "a-new-phone"})["id"]
        office = desk.call("GET", "/auth/me")["user"]["id"]
        with at_desk(url, "ana") as ana:
            ana.call("POST", "/messages", {"recipient_id": office, "content": "The generator is loud again."})
    return scene


def _changed_form(desk: Desk) -> str:
    """A form with two versions, and a draft after them."""
    weather = desk.call("GET", "/forms/weather")
    schema = weather["schema"]
    schema["properties"]["wind_kn"]["maximum"] = 200
    schema["properties"]["snow_cm"] = {"type": "integer", "title": "Snow (cm)", "minimum": 0}
    desk.call("PATCH", "/forms/weather", {"schema": schema})
    desk.call("POST", "/forms/weather/publish", {})
    schema["required"] = ["temperature_c", "sky"]
    desk.call("PATCH", "/forms/weather", {"schema": schema})
    return str(weather["id"])


def _row(meters: dict[str, Any], login: str) -> dict[str, Any]:
    island = {"ana": "torgersen", "ben": "biscoe", "dora": "dream"}[login]
    return {"id": meters[f"generator-{island}"]["id"]}


def _edit(worker: Desk, row: dict[str, Any], fields: dict[str, Any], *, version: int | None = None) -> None:
    item = {
        "resource_type": "meter",
        "action": "update",
        "payload": {"id": row["id"], **fields},
        "client_version": version or row["server_version"],
    }
    _push(worker, [item])


def _push(worker: Desk, items: list[dict[str, Any]]) -> None:
    worker.call("POST", "/mobile/sync/push", {"items": items})
