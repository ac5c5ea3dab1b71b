"""What devices went through before the pictures: a nest that two people corrected, a battery's day, an odd item."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from homing.cli._demo.office import Desk, at_desk

TABLET = "anas-tablet"


def play(url: str, desk: Desk) -> dict[str, str]:
    """The places: a conflict about a nest, one that was decided, a device, a batch, an item, a row to explain."""
    with at_desk(url, "ana") as ana:
        ana.sign_in("ana", device_id=TABLET)
        nests = [each for each in desk.call("GET", "/submissions", limit=50)["items"] if _data(each)["sample"] <= 3]
        nests.sort(key=lambda each: int(_data(each)["sample"]))
        pulled = ana.call("POST", "/mobile/sync/pull", {"since_token": None})["changes"]
        versions = {change["id"]: change["server_version"] for change in pulled}
        nests = [nest | {"version": versions[nest["id"]]} for nest in nests]
        found = [_contest(desk, ana, nest, number) for number, nest in enumerate(nests[:3])]
        desk.call(
            "POST",
            f"/mobile/conflicts/{found[2]}/resolve",
            {"resolution": "accept_client", "notes": "Ana weighed it again; the radio log was a day old."},
        )
        token = ana.call("POST", "/mobile/sync/pull", {"since_token": None})["next_token"]
        ana.call("POST", "/mobile/sync/ack", {"ack_token": token, "pending": 2})
        now = datetime.now(UTC)
        hours = [(now - timedelta(hours=23 - hour)).strftime("%Y-%m-%dT%H:%M:%SZ") for hour in range(24)]
        levels = [100 - (4 * hour) % 77 for hour in range(24)]
        metrics = [
            {"name": "battery", "value": level, "timestamp": at} for level, at in zip(levels, hours, strict=True)
        ]
        metrics += [
            {"name": "storage_free_mb", "value": 5120, "timestamp": hours[-1]},
            {"name": "network", "value": "satellite", "timestamp": hours[-1]},
        ]
        ana.call("POST", "/telemetry", {"metrics": metrics})
        batch = _push(
            ana,
            [
                {"resource_type": "submission", "action": "update", "client_version": 1,
                 "payload": {"id": nests[1]["id"], "metadata": {"weather": "snow", "observer": "Ana"}}},
                {"resource_type": "meter", "action": "update", "client_version": 1,
                 "payload": {"id": _meter(desk), "reading": "151,5", "notes": "Read in the dark"}},
            ],
        )  # fmt: skip
    with at_desk(url, "ben") as ben:
        ben.sign_in("ben", device_id="bens-phone")
    item = next(
        each for each in desk.call("GET", "/mobile/quarantine")["items"] if each["payload"].get("reading") == "151,5"
    )
    devices = {each["device_id"]: each["id"] for each in desk.call("GET", "/mobile/devices")["items"]}
    other = next(each for each in desk.call("GET", "/submissions", limit=50)["items"] if _data(each)["sample"] == 4)
    return {
        "nest": found[0],
        "decided": found[2],
        "tablet": devices[TABLET],
        "batch": batch,
        "item": item["id"],
        "missing": other["id"],
    }


def _contest(desk: Desk, ana: Desk, nest: dict[str, Any], number: int) -> str:
    data = _data(nest)
    office = {**data, "body_mass_g": data["body_mass_g"] - 50, "comments": "Nest never observed with full clutch."}
    field = {**data, "body_mass_g": data["body_mass_g"] + 40, "culmen_length_mm": 39.7 + number, "sex": "FEMALE"}
    _push(desk, [_update(nest, office)])
    ana.call("POST", "/mobile/sync/push", {"items": [_update(nest, field)]})
    listed = desk.call("GET", "/mobile/conflicts", resource_type="submission", resolution="pending")["items"]
    return str(next(each["id"] for each in listed if each["resource_id"] == nest["id"]))


def _update(nest: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    payload = {"id": nest["id"], "data": data}
    return {"resource_type": "submission", "action": "update", "client_version": nest["version"], "payload": payload}


def _data(nest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = nest["data"]
    return found


def _meter(desk: Desk) -> str:
    return str(
        next(each["id"] for each in desk.call("GET", "/meters")["items"] if each["code"] == "generator-torgersen")
    )


def _push(worker: Desk, items: list[dict[str, Any]]) -> str:
    return str(worker.call("POST", "/mobile/sync/push", {"items": items})["batch_id"])
