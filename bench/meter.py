"""CPU and memory of process trees, from /proc. Linux only, like the numbers it is for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    todo, seen = [pid], []
    while todo:
        process = todo.pop()
        seen.append(process)
        try:
            tasks = list((PROC / str(process) / "task").iterdir())
            for task in tasks:
                todo += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended while we looked
    return seen


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, with children that ended and were waited for."""
    ticks = 0
    for process in tree(pid):
        try:
            stat = (PROC / str(process) / "stat").read_text()
        except OSError:
            continue  # it ended while we looked
        ticks += sum(int(value) for value in stat.rsplit(")", 1)[1].split()[11:15])
    return ticks / TICK


@dataclass(frozen=True)
class Memory:
    """MiB of a tree. PSS counts a page shared by n processes as 1/n; RSS counts it n times."""

    rss: float
    pss: float
    processes: int


def memory(pid: int) -> Memory:
    sums = {"Rss:": 0, "Pss:": 0}
    processes = 0
    for process in tree(pid):
        try:
            lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it ended while we looked
        processes += 1
        for line in lines:
            name, *rest = line.split()
            if name in sums:
                sums[name] += int(rest[0])
    return Memory(rss=round(sums["Rss:"] / 1024, 1), pss=round(sums["Pss:"] / 1024, 1), processes=processes)


@dataclass
class Meter:
    """``with Meter({"server": pid, "database": pid}) as meter:`` gives seconds of wall time and CPU seconds by name."""

    roots: dict[str, int]
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._before = {name: cpu_seconds(pid) for name, pid in self.roots.items()}
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self.cpu = {name: cpu_seconds(pid) - self._before[name] for name, pid in self.roots.items()}
