"""Load from processes of their own: every client prepares, all wait at one line, then all run.

The time of a leg is from the moment the first client starts to the moment the last one ends. Bodies are encoded
before the line, so that the leg measures the server and not the client's JSON library.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")
FORK = multiprocessing.get_context("fork")  # clients inherit what the parent prepared; nothing has to be pickled


class LoadError(Exception):
    """A client failed; the message is its traceback."""


@dataclass(frozen=True)
class Leg(Generic[R]):
    """``seconds`` of wall time, ``cpu`` seconds of all clients together, and what each client returned."""

    seconds: float
    cpu: float
    results: list[R]


def drive(clients: int, prepare: Callable[[int], Callable[[], R]]) -> Leg[R]:
    """Run ``prepare(i)`` in process i, then, once all are ready, what it returned. Raises LoadError."""
    barrier = FORK.Barrier(clients)
    pipes = [FORK.Pipe(duplex=False) for _ in range(clients)]
    processes = [
        FORK.Process(target=_client, args=(number, prepare, barrier, pipe[1]), daemon=True)
        for number, pipe in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()
    outcomes = []
    for receiver, _ in pipes:
        try:
            outcomes.append(receiver.recv())
        except EOFError:
            outcomes.append("the client's process died")
    for process in processes:
        process.join()
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failed:
        raise LoadError(max(failed, key=len))
    return Leg(
        seconds=max(end for _, end, _, _ in outcomes) - min(start for start, _, _, _ in outcomes),
        cpu=sum(cpu for _, _, cpu, _ in outcomes),
        results=[result for _, _, _, result in outcomes],
    )


def _client(number: int, prepare: Callable[[int], Callable[[], R]], barrier: object, sender: object) -> None:
    try:
        run = prepare(number)
        gc.collect()
        gc.disable()  # a collection over pre-encoded bodies would show up as a slow server
        barrier.wait()  # type: ignore[attr-defined]
        cpu = time.process_time()
        start = time.perf_counter()
        result = run()
        end = time.perf_counter()
        sender.send((start, end, time.process_time() - cpu, result))  # type: ignore[attr-defined]
    except BaseException:  # the parent reports it and fails the run
        barrier.abort()  # type: ignore[attr-defined]
        sender.send(traceback.format_exc())  # type: ignore[attr-defined]
