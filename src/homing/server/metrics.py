"""What Prometheus sees: requests by route, method and status, and how long they took."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from homing.jobs.worker import Outlook
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
        self._waiting = Gauge("homing_jobs_waiting", "Jobs whose time has come.", ("tenant",), registry=self.registry)
        self._oldest = Gauge(
            "homing_jobs_oldest_seconds", "How long the oldest of them waits.", ("tenant",), registry=self.registry
        )
        self._dead = Gauge("homing_jobs_dead", "Jobs that somebody must look at.", ("tenant",), registry=self.registry)
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
        self._waiting.labels(tenant).set(outlook.waiting)
        self._oldest.labels(tenant).set(outlook.oldest_seconds)
        self._dead.labels(tenant).set(outlook.dead)

    def forget_jobs(self, tenant: str) -> None:
        for gauge in (self._waiting, self._oldest, self._dead):
            gauge.remove(tenant)

    def page(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
