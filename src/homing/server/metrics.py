"""What Prometheus sees: requests by route, method and status, and how long they took."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from homing.jobs.worker import Outlook
from homing.server.vitals import Vitals
from homing.tenants.directory import Directory

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
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

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method if method in METHODS else "other", status)
        known = self._known.get(key)
        if known is None:
            known = self._requests.labels(*map(str, key)), self._seconds.labels(*key[:2])
            self._known[key] = known
        known[0].inc()
        known[1].observe(seconds)

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
