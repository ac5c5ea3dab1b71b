"""What each server process holds after all the work of the run: the last measure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure
from bench.meter import memory as memory_of
from bench.plan import Bench


def memory(bench: Bench) -> Iterator[Figure]:
    for contender in bench.contenders:
        held = memory_of(contender.pid)
        yield Figure(
            measure="memory",
            case="server, after all of the above",
            contender=contender.name,
            unit="MiB RSS",
            better="lower",
            rounds=[held.rss],
            extra={"PSS MiB": held.pss, "processes": held.processes},
        )
