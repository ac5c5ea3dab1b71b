"""What Prometheus sees: requests and how long they took, by route and by platform; jobs; what people do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from homing.jobs.worker import Outlook
from homing.server.vitals import Vitals
from homing.telemetry.tallies import BOUNDS, Tally
from homing.telemetry.usage import Usage
from homing.tenants.directory import Directory

SECONDS = BOUNDS
PLATFORMS = frozenset({"web", "mobile"})
VERSIONS_MAX = 20
"""Versions of the app that have a label: whoever registers a device names one."""
OUTCOMES = ("ok", "refused", "failed")
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Tenants(Protocol):
    """What a node says of its tenants."""

    opened: int
    failed: int
    closed: int
    directory: Directory

    @property
    def open_now(self) -> int: ...


class Metrics:
    """A server's own registry, so that two servers in one process do not count together.

    Labels are routes as declared, never paths as requested: their number is bounded.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "homing_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "homing_request_seconds",
            "Time from request to answer.",
            ("route", "method"),
            registry=self.registry,
            buckets=SECONDS,
        )
        self._platform_requests = Counter(
            "homing_platform_requests",
            "Requests to the API: ok, refused (4xx), failed (5xx). Platform: web, mobile, none where nobody signed in.",
            ("platform", "outcome"),
            registry=self.registry,
        )
        self._platform_seconds = Histogram(
            "homing_platform_request_seconds",
            "Time from request to answer.",
            ("platform",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self._tallies: dict[str, dict[str, Tally]] = {}
        """Tenant → platform → what was counted since ``take_tallies``."""
        self._usage = {
            name: Gauge(
                f"homing_usage_{name}", f"{said} In the default tenant's last day.", labels, registry=self.registry
            )
            for name, said, labels in (
                ("active_users", "Who did something.", ("platform",)),
                ("events", "What they did.", ("platform",)),
                ("conversion_ratio", "Of them, those who converted.", ("platform",)),
                ("response_seconds_mean", "Mean time of all nodes' answers.", ("platform",)),
                ("error_ratio", "Of all nodes' answers, those of 5xx.", ("platform",)),
                ("crash_ratio", "Crashes a session of the app.", ()),
                ("crash_free_users_ratio", "Of who used the app, those whose app did not crash.", ()),
                ("sync_success_ratio", "Of the items that devices pushed, those that took effect.", ()),
                ("push_delivery_ratio", "Of the notifications pushed, those that the provider took.", ("platform",)),
                ("battery_percent_per_hour", "What batteries lose.", ("app_version",)),
                ("sessions", "Sign-ins in use, of the versions used most.", ("platform", "app_version")),
            )
        }
        self._jobs = Counter(
            "homing_jobs", "Tries of jobs: done, failed, dead.", ("task", "outcome"), registry=self.registry
        )
        self._job_seconds = Histogram(
            "homing_job_seconds",
            "Time of one try.",
            ("task",),
            registry=self.registry,
            buckets=(*SECONDS, 120.0, 600.0),
        )
        self._outlooks: dict[str, Outlook] = {}
        """Tenant → its queue when this node last looked at it. Summed up: a label for each would be thousands."""
        for name, said, ask in (
            ("homing_jobs_waiting", "Jobs whose time has come.", lambda: sum(o.waiting for o in self._seen())),
            ("homing_jobs_dead", "Jobs that somebody must look at.", lambda: sum(o.dead for o in self._seen())),
            (
                "homing_jobs_oldest_seconds",
                "How long the oldest of them waits.",
                lambda: max((o.oldest_seconds for o in self._seen()), default=0.0),
            ),
        ):
            Gauge(name, said, registry=self.registry).set_function(ask)
        self._database = {
            name: Gauge(f"homing_database_{name}", said, labels, registry=self.registry)
            for name, said, labels in (
                ("connections", "Connections to the PostgreSQL server.", ()),
                ("connections_max", "Its max_connections.", ()),
                ("bytes", "Size of the default tenant's database.", ()),
                ("replication_lag_seconds", "How far the slowest standby is behind.", ()),
                ("archive_failing", "1 while the log is not archived though it should be.", ()),
                ("archived_seconds", "Since a file of the log was archived.", ()),
                ("unused_index_bytes", "Indexes that no query used.", ()),
                ("live_rows", "Rows of the largest tables.", ("table",)),
                ("dead_rows", "Rows of the largest tables that nobody sees.", ("table",)),
                ("table_bytes", "Size of the largest tables with their indexes.", ("table",)),
                ("statement_seconds", "What the dearest statements took in all.", ("id",)),
                ("statement_calls", "How often they ran.", ("id",)),
            )
        }
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._known_platforms: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method if method in METHODS else "other", status)
        known = self._known.get(key)
        if known is None:
            known = self._requests.labels(*map(str, key)), self._seconds.labels(*key[:2])
            self._known[key] = known
        known[0].inc()
        known[1].observe(seconds)

    def count_platform(self, tenant: str, platform: str | None, status: int, seconds: float) -> None:
        """A request to the API. ``platform`` as the access token says; None where nobody was signed in."""
        name = "none" if platform is None else platform if platform in PLATFORMS else "mobile"
        known = self._known_platforms.get((name, status // 100))
        if known is None:
            outcome = OUTCOMES[max(0, min(status // 100, 5) - 3)]
            known = self._platform_requests.labels(name, outcome), self._platform_seconds.labels(name)
            self._known_platforms[name, status // 100] = known
        known[0].inc()
        known[1].observe(seconds)
        tallies = self._tallies.setdefault(tenant, {})
        tally = tallies.get(name)
        if tally is None:
            tally = tallies[name] = Tally(name)
        tally.count(status, seconds)

    def take_tallies(self) -> dict[str, dict[str, Tally]]:
        """Tenant → platform → what was counted since the last call."""
        taken, self._tallies = self._tallies, {}
        return taken

    def give_back(self, tenant: str, tallies: Mapping[str, Tally]) -> None:
        """Tallies that could not be kept."""
        for name, tally in tallies.items():
            self._tallies.setdefault(tenant, {}).setdefault(name, Tally(name)).add(tally)

    def note_usage(self, usage: Usage) -> None:
        """What people did in the default tenant, as it was last looked at."""
        for gauge in self._usage.values():
            gauge.clear()
        for each in usage.engagement:
            self._usage["active_users"].labels(each.platform).set(each.active_users)
            self._usage["events"].labels(each.platform).set(each.events)
            self._usage["conversion_ratio"].labels(each.platform).set(each.conversion_rate)
        for asked in usage.requests:
            self._usage["response_seconds_mean"].labels(asked.platform).set(asked.mean_seconds)
            self._usage["error_ratio"].labels(asked.platform).set(asked.error_rate)
        for name, ratio in (
            ("crash_ratio", usage.crashes.rate),
            ("crash_free_users_ratio", usage.crashes.crash_free_users),
            ("sync_success_ratio", usage.sync.rate),
        ):
            self._usage[name].set(float("nan") if ratio is None else ratio)
        for push in usage.push:
            self._usage["push_delivery_ratio"].labels(push.platform).set(push.rate)
        for battery in usage.battery[:VERSIONS_MAX]:
            self._usage["battery_percent_per_hour"].labels(battery.app_version or "").set(battery.percent_per_hour)
        for used in usage.sessions[:VERSIONS_MAX]:
            self._usage["sessions"].labels(used.platform, used.app_version or "").set(used.sessions)

    def watch(self, node: Tenants) -> None:
        """Tenants at this node, all together: one label for each would be thousands."""
        for name, said, ask in (
            ("homing_tenants_known", "Tenants in the directory.", lambda: len(node.directory.entries)),
            ("homing_tenants_open", "Tenants open at this node.", lambda: node.open_now),
            ("homing_tenants_opened", "Openings since the start.", lambda: node.opened),
            ("homing_tenants_failed", "Openings that failed since the start.", lambda: node.failed),
            ("homing_tenants_closed", "Tenants closed since the start.", lambda: node.closed),
        ):
            Gauge(name, said, registry=self.registry).set_function(ask)

    def count_job(self, task: str, outcome: str, seconds: float) -> None:
        self._jobs.labels(task, outcome).inc()
        self._job_seconds.labels(task).observe(seconds)

    def note_jobs(self, tenant: str, outlook: Outlook) -> None:
        """What a tenant's queue was like when this node last looked at it."""
        self._outlooks[tenant] = outlook

    def forget_jobs(self, tenant: str) -> None:
        self._outlooks.pop(tenant, None)

    def note_vitals(self, vitals: Vitals) -> None:
        """The default tenant's database, as it was last looked at."""
        given = self._database
        given["connections"].set(vitals.connections)
        given["connections_max"].set(vitals.connections_max)
        given["bytes"].set(vitals.bytes)
        given["replication_lag_seconds"].set(vitals.replication_lag or 0.0)
        given["archive_failing"].set(vitals.archiving is False)
        given["archived_seconds"].set(vitals.archived_ago or 0.0)
        given["unused_index_bytes"].set(sum(each.bytes for each in vitals.unused))
        for name in ("live_rows", "dead_rows", "table_bytes", "statement_seconds", "statement_calls"):
            given[name].clear()  # those that are not among the largest any more
        for table in vitals.tables:
            given["live_rows"].labels(table.name).set(table.live)
            given["dead_rows"].labels(table.name).set(table.dead)
            given["table_bytes"].labels(table.name).set(table.bytes)
        for statement in vitals.statements or ():
            given["statement_seconds"].labels(statement.id).set(statement.seconds)
            given["statement_calls"].labels(statement.id).set(statement.calls)

    def _seen(self) -> list[Outlook]:
        return list(self._outlooks.values())

    def page(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
