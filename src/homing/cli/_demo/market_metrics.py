"""The specification's metrics of the demo's days: what apps and browsers tell, and what the server makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from homing.cli._demo.office import Desk, at_desk

EVENTS: Mapping[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "mobile": (
        ("session_start", {}),
        ("user_login", {}),
        ("feature_usage", {"feature": "proposals", "duration": 95, "completion_rate": 0.9}),
        ("proposal_submitted", {}),
    ),
    "web": (
        ("session_start", {}),
        ("user_login", {}),
        ("feature_usage", {"feature": "market", "duration": 240, "completion_rate": 0.6}),
    ),
}
"""What everybody's app or browser tells, once each."""
BATTERY = (80, 78, 77)
"""Percent, every half an hour."""


def tell(url: str, *, phones: Mapping[str, str], browsers: Mapping[str, Desk], crashed: str, proposed: str) -> int:
    """Events as apps and browsers send them, each batch twice, as on a bad line; how many counted. ``phones``: device →
    login; the app on ``crashed`` crashes once; ``proposed`` wrote proposals in a browser."""
    counted = 0
    now = datetime.now(UTC)
    for device, login in phones.items():
        with at_desk(url, login, device_id=device) as app:
            events = [*EVENTS["mobile"], *([("app_crash", {"screen": "proposals"})] if device == crashed else [])]
            counted += _send(app, events, now, {"platform": "android", "version": "16", "model": device})
            measured = [
                {"name": "battery", "value": level, "timestamp": _text(now - timedelta(minutes=30 * ago))}
                for ago, level in enumerate(reversed(BATTERY))
            ]
            app.call("POST", "/telemetry", {"metrics": measured})
    for login, browser in browsers.items():
        events = [*EVENTS["web"], *([("proposal_submitted", {})] if login == proposed else [])]
        counted += _send(browser, events, now, {"platform": "web", "version": "1", "model": "browser"})
    return counted


def _send(desk: Desk, events: Any, now: datetime, info: dict[str, str]) -> int:
    batch = [
        {"event": name, "properties": properties, "timestamp": _text(now - timedelta(seconds=n)), "deviceInfo": info}
        for n, (name, properties) in enumerate(events)
    ]
    accepted = [desk.call("POST", "/api/mobile/analytics/events", {"events": batch})["accepted"] for _ in range(2)]
    return int(sum(accepted))


def table(url: str, desk: Desk) -> list[list[str]]:
    """The metrics, web against mobile, a line each; the first line is the head."""
    found = desk.call("GET", "/analytics/metrics")
    asked = _asked(url)
    by = {name: {each["platform"]: each for each in found[name]} for name in ("engagement", "push")}
    sessions: dict[str, int] = {}
    for each in found["sessions"]:
        sessions[each["platform"]] = sessions.get(each["platform"], 0) + each["sessions"]

    def both(name: str, write: Any, web: Any, mobile: Any) -> list[str]:
        return [name, *("-" if value is None else write(value) for value in (web, mobile))]

    def of(name: str, member: str) -> tuple[Any, Any]:
        web, mobile = by[name].get("web", {}), by[name].get("mobile", {})
        return web.get(member), mobile.get(member)

    battery = found["battery"][0]["percent_per_hour"] if found["battery"] else None
    return [
        ["metric", "web", "mobile"],
        both("requests", str, asked["web"].get("requests"), asked["mobile"].get("requests")),
        both("response time, mean", _ms, asked["web"].get("seconds"), asked["mobile"].get("seconds")),
        both("error rate", _percent, asked["web"].get("errors"), asked["mobile"].get("errors")),
        both("sessions", str, sessions.get("web"), sessions.get("mobile")),
        both("engagement: active users", str, *of("engagement", "active_users")),
        both("engagement: events a user", "{:.1f}".format, *of("engagement", "events_per_user")),
        both("conversion rate", _percent, *of("engagement", "conversion_rate")),
        both("push delivery rate", _percent, by["push"].get("web", {}).get("rate"), None),
        both("app crash rate", _percent, None, found["crashes"]["rate"]),
        both("offline sync success", _percent, None, found["sync"]["rate"]),
        both("battery, percent an hour", "{:.1f}".format, None, battery),
    ]


def _asked(url: str) -> dict[str, dict[str, float]]:
    """Requests by platform as this node counted them until now: what Prometheus sees. The tables of all nodes have them
    a minute later."""
    sums: dict[tuple[str, str], float] = {}
    outcomes: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=30).text):
        for sample in family.samples:
            platform = sample.labels.get("platform", "")
            if sample.name in ("homing_platform_request_seconds_sum", "homing_platform_request_seconds_count"):
                sums[platform, sample.name.rpartition("_")[2]] = sample.value
            elif sample.name == "homing_platform_requests_total":
                outcomes[platform, sample.labels["outcome"]] = sample.value
    found: dict[str, dict[str, float]] = {"web": {}, "mobile": {}}
    for platform, values in found.items():
        if count := sums.get((platform, "count")):
            failed = outcomes.get((platform, "failed"), 0.0)
            values |= {"requests": int(count), "seconds": sums[platform, "sum"] / count, "errors": failed / count}
    return found


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _percent(part: float) -> str:
    return f"{part * 100:.1f} %"


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
