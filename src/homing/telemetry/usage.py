"""What the measurements amount to: the monitoring metrics of spec 4, each of one query over a span of time.

A ratio is None where there is nothing to divide by: no pushes are not pushes that all failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from homing.postgres.database import Database
from homing.postgres.sql import Connection, fetch_all, load
from homing.telemetry.metrics import write_time
from homing.telemetry.tallies import quantile

LIST_MAX: Final = 50
"""Features, and versions of the app, that are told one by one: the most used."""


@dataclass(frozen=True, slots=True)
class Span:
    """From ``since`` on, before ``until``."""

    since: datetime
    until: datetime


class Requests(msgspec.Struct, kw_only=True):
    """``platform``: ``web``, ``mobile``, or ``none`` where nobody was signed in. Seconds from request to answer, as the
    nodes measured, in whole hours; ``p50`` and ``p95`` as exact as the buckets of the histogram. ``error_rate`` counts
    what the server did wrong, ``refusal_rate`` what it refused."""

    platform: str
    requests: int
    mean_seconds: float
    p50_seconds: float
    p95_seconds: float
    error_rate: float
    refusal_rate: float


class Engagement(msgspec.Struct, kw_only=True):
    """``conversion_rate``: of the active users, those who did what the setting ``analytics_conversions`` names.
    ``feature_seconds``: the durations of feature_usage."""

    platform: str
    active_users: int
    events: int
    events_per_user: float
    logins: int
    feature_seconds: float
    converted_users: int
    conversion_rate: float


class Crashes(msgspec.Struct, kw_only=True):
    """Of the events ``app_crash`` and ``session_start`` that phones sent; ``rate``: crashes a session."""

    crashes: int
    sessions: int
    rate: float | None
    crash_free_users: float | None


class SyncSuccess(msgspec.Struct, kw_only=True):
    """What became of the items that devices pushed. ``rate``: of all that were decided, those that took effect."""

    ok: int
    conflict: int
    error: int
    rate: float | None


class PushDelivery(msgspec.Struct, kw_only=True):
    """``rate``: of the attempts, those that the provider took. ``delivered``: those that a receipt or the device itself
    told of."""

    platform: str
    attempts: int
    taken: int
    delivered: int
    read: int
    clicked: int
    rate: float


class Battery(msgspec.Struct, kw_only=True):
    """What the metric ``battery`` (percent) lost while it was measured, by version of the app."""

    app_version: str | None
    devices: int
    hours: float
    percent_per_hour: float


class Sessions(msgspec.Struct, kw_only=True):
    platform: str
    app_version: str | None
    sessions: int
    users: int


class Feature(msgspec.Struct, kw_only=True):
    """Of the events ``feature_usage``: means of ``duration`` and ``completion_rate``, where they were numbers."""

    feature: str
    platform: str
    uses: int
    users: int
    duration: float | None
    completion_rate: float | None


class Usage(msgspec.Struct, kw_only=True, rename={"since": "from", "until": "to"}):
    """Everything, of one span of time."""

    since: str
    until: str
    requests: list[Requests]
    engagement: list[Engagement]
    crashes: Crashes
    sync: SyncSuccess
    push: list[PushDelivery]
    battery: list[Battery]
    sessions: list[Sessions]
    features: list[Feature]


async def read_usage(db: Database, span: Span, *, conversions: Sequence[str]) -> Usage:
    """All of it, from one snapshot."""
    params = {"since": span.since, "until": span.until, "conversions": list(conversions), "limit": LIST_MAX}
    async with db.transaction() as conn:
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        engagement = await _rows(conn, "read_engagement", params)
        ((ok, conflict, error),) = await _rows(conn, "read_sync", params)
        return Usage(
            since=write_time(span.since),
            until=write_time(span.until),
            requests=[_requests(*row) for row in await _rows(conn, "read_requests", params)],
            engagement=[_engagement(*row[:6]) for row in engagement],
            crashes=_crashes([row for row in engagement if row[0] == "mobile"]),
            sync=SyncSuccess(ok=ok, conflict=conflict, error=error, rate=_ratio(ok, ok + conflict + error)),
            push=[
                PushDelivery(
                    platform=platform,
                    attempts=attempts,
                    taken=taken,
                    delivered=delivered,
                    read=read,
                    clicked=clicked,
                    rate=taken / attempts,
                )
                for platform, attempts, taken, delivered, read, clicked in await _rows(conn, "read_push", params)
            ],
            battery=[
                Battery(app_version=version, devices=devices, hours=hours, percent_per_hour=percent / hours)
                for version, devices, percent, hours in await _rows(conn, "read_battery", params)
            ],
            sessions=[
                Sessions(platform=platform, app_version=version, sessions=sessions, users=users)
                for platform, version, sessions, users in await _rows(conn, "read_sessions", params)
            ],
            features=[
                Feature(
                    feature=feature,
                    platform=platform,
                    uses=uses,
                    users=users,
                    duration=duration,
                    completion_rate=completion,
                )
                for feature, platform, uses, users, duration, completion in await _rows(conn, "read_features", params)
            ],
        )


async def _rows(conn: Connection, name: str, params: dict[str, Any]) -> list[Any]:
    return await fetch_all(conn, load("homing.telemetry", f"usage/{name}"), params)


def _requests(
    platform: str, requests: int, refused: int, failed: int, seconds: float, buckets: Sequence[int]
) -> Requests:
    return Requests(
        platform=platform,
        requests=requests,
        mean_seconds=seconds / requests,
        p50_seconds=quantile(buckets, 0.5),
        p95_seconds=quantile(buckets, 0.95),
        error_rate=failed / requests,
        refusal_rate=refused / requests,
    )


def _engagement(platform: str, users: int, events: int, logins: int, seconds: float, converted: int) -> Engagement:
    return Engagement(
        platform=platform,
        active_users=users,
        events=events,
        events_per_user=events / users,
        logins=logins,
        feature_seconds=seconds,
        converted_users=converted,
        conversion_rate=converted / users,
    )


def _crashes(mobile: Sequence[Sequence[Any]]) -> Crashes:
    users, sessions, crashes, crashed = (mobile[0][1], *mobile[0][6:9]) if mobile else (0, 0, 0, 0)
    return Crashes(
        crashes=crashes,
        sessions=sessions,
        rate=_ratio(crashes, sessions),
        crash_free_users=_ratio(users - crashed, users),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
