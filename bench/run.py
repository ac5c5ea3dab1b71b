"""One run: start everything, measure in the order in which tables grow, stop everything."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.cluster import Cluster, cluster
from bench.contenders import Contender
from bench.contenders.homing import Homing, homing
from bench.contenders.kinto import kinto
from bench.contenders.raw import Raw
from bench.contenders.thin import thin
from bench.figures import Figure, Run
from bench.measures.analytics import analytics
from bench.measures.console import console
from bench.measures.crm import crm
from bench.measures.delta import crowd, delta
from bench.measures.limits import limits
from bench.measures.live import live
from bench.measures.market import market
from bench.measures.memory import memory
from bench.measures.notify import measure_notify
from bench.measures.policy import policy
from bench.measures.pull import pull
from bench.measures.push import push
from bench.measures.replica import replica
from bench.measures.scopes import scopes
from bench.measures.tenants import tenants
from bench.measures.transactions import transactions
from bench.plan import Bench, Plan, seeds

MEASURES = (
    *("delta", "pull", "push", "replica", "policy", "large", "transactions", "scopes", "live", "tenants", "crm"),
    *("market", "limits", "analytics", "notify", "console", "memory"),
)


def run(
    found: Run,
    plan: Plan,
    *,
    only: Collection[str],
    contenders: Collection[str],
    kinto_venv: Path | None,
    folder: Path | None,
) -> None:
    """Measure, into ``found``, which keeps what was measured when a later measure fails.

    ``only`` names measures, ``contenders`` servers; empty means all.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(cluster(parent=folder))
        bench = _open(stack, postgres, plan, contenders=contenders, kinto_venv=kinto_venv)
        found.machine.update(_machine(postgres))
        for name, step in _steps(bench, only or MEASURES):
            start = time.monotonic()
            for figure in step():
                found.figures.append(figure)
                shown = f"{figure.median:>12,.2f} {figure.unit}"
                say(f"  {figure.measure}, {figure.case}: {figure.contender:<8} {shown}  {figure.extra}")
            say(f"{name}: {time.monotonic() - start:.0f} s")


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the table."""
    print(line, file=sys.stderr, flush=True)


def _open(
    stack: ExitStack, postgres: Cluster, plan: Plan, *, contenders: Collection[str], kinto_venv: Path | None
) -> Bench:
    def wanted(name: str) -> bool:
        return not contenders or name in contenders

    servers: list[Contender] = []
    engine: Homing | None = None
    if wanted("thin"):
        servers.append(stack.enter_context(thin(postgres)))
    if wanted("homing"):
        engine = stack.enter_context(homing(postgres))
        servers.append(engine)
    if kinto_venv is None:
        say("KINTO IS SKIPPED: give --kinto PATH-OF-A-VENV in which kinto[postgresql] is installed")
    elif wanted("kinto"):
        servers.append(stack.enter_context(kinto(postgres, kinto_venv)))
    return Bench(plan=plan, cluster=postgres, raw=Raw(postgres), contenders=servers, homing=engine, seeds=seeds())


def _steps(bench: Bench, only: Collection[str]) -> Iterator[tuple[str, Callable[[], Iterator[Figure]]]]:
    """The measures in the order in which the tables grow, each with its tables filled."""
    plan = bench.plan
    if "delta" in only:
        _fill(bench, plan.small)
        yield f"delta among {plan.small:,}", lambda: delta(bench, plan.small)
    if {"delta", "pull", "push", "replica", "policy"} & set(only):
        _fill(bench, plan.middle)
    if "pull" in only:
        yield "pull", lambda: pull(bench, plan.middle)
    if "delta" in only:
        yield f"delta among {plan.middle:,}", lambda: delta(bench, plan.middle)
        yield "empty deltas", lambda: crowd(bench, plan.middle)
    if "replica" in only:
        yield "first sync", lambda: replica(bench)
    if "push" in only:
        yield "push", lambda: push(bench)
    if "policy" in only:
        yield "policy", lambda: policy(bench)
    if "large" in only and plan.large:
        large = replace(bench.without_slow(), plan=replace(plan, rounds=2))
        size = plan.large
        _fill(large, size)
        yield f"pull of {size:,}", lambda: pull(large, size, pages=(5000,))
        yield f"delta among {size:,}", lambda: delta(large, size)
    if "transactions" in only:
        _fill(bench, plan.small)
        yield "open transactions", lambda: transactions(bench)
    if "scopes" in only:
        yield "scopes", lambda: scopes(bench)
    if "live" in only and bench.homing is not None:
        _fill(bench, plan.small)
        yield "live", lambda: live(bench)
    if "tenants" in only and bench.homing is not None:
        yield "tenants", lambda: tenants(bench)
    for measure, (title, step) in ALONE.items():
        if measure in only:
            yield title, partial(step, bench)


ALONE: Mapping[str, tuple[str, Callable[[Bench], Iterator[Figure]]]] = {
    "crm": ("contractor CRM", crm),
    "market": ("marketplace", market),
    "limits": ("rates", limits),
    "analytics": ("analytics", analytics),
    "console": ("console", console),
    "notify": ("notifications", measure_notify),
    "memory": ("memory", memory),
}
"""Measures that need no table filled before: each brings its own."""


def _fill(bench: Bench, rows: int) -> None:
    start = time.monotonic()
    bench.raw.fill(rows)
    for contender in bench.contenders:
        contender.fill(rows)
    bench.cluster.checkpoint()
    say(f"filled to {rows:,} rows: {time.monotonic() - start:.0f} s")


def _machine(postgres: Cluster) -> dict[str, str]:
    settings = ", ".join(f"{name} {value}" for name, value in postgres.settings().items())
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processors": str(os.cpu_count()),
        "Python": platform.python_version(),
        "PostgreSQL": settings,
        "load average at the start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
