"""How long a person waits for the first sync of a new device with the Python client, and what the time goes to.

The shipped client and its own driver, on a replica in a file (SQLite, WAL, ``synchronous=FULL``). Four clocks run
beside it: waiting for the server, httpx with decompression, decoding JSON, and storing pages.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any

import httpx

from bench.contenders.homing import PASSWORD, Homing
from bench.figures import Figure
from bench.load import drive
from bench.plan import Bench
from homing.client import Client
from homing.client import pull as pull_step

Clock = defaultdict[str, float]
ROUNDS_MAX = 3
TIMEOUT_SECONDS = 120


class _Waiting(httpx.BaseTransport):
    """Counts the seconds until a request's answer has begun, and those that its body takes to arrive."""

    def __init__(self, clock: Clock) -> None:
        self._inner = httpx.HTTPTransport()
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _counted(self._clock, "waiting for the server"):
            answer = self._inner.handle_request(request)
        assert isinstance(answer.stream, httpx.SyncByteStream)
        answer.stream = _Body(answer.stream, self._clock)
        return answer

    def close(self) -> None:
        self._inner.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._inner)
        while True:
            with _counted(self._clock, "waiting for the server"):
                chunk = next(chunks, None)
            if chunk is None:
                return
            self._clock["bytes on the line"] += len(chunk)  # compressed, where the two agreed to
            yield chunk

    def close(self) -> None:
        self._inner.close()


class _TimedClient(httpx.Client):
    """httpx with a clock around it: what it takes beyond waiting is its own work and decompression."""

    clock: Clock

    @contextmanager
    def stream(self, *arguments: Any, **options: Any) -> Iterator[httpx.Response]:
        with _counted(self.clock, "exchange"), super().stream(*arguments, **options) as answer:
            yield answer


def replica(bench: Bench) -> Iterator[Figure]:
    if bench.homing is None:
        return
    rates: list[float] = []
    spent: dict[str, list[float]] = defaultdict(list)
    correct = True
    rows = 0
    for number in range(min(ROUNDS_MAX, bench.plan.rounds)):
        rows, seconds, clock, verified = drive(1, partial(_prepare, bench.homing, number)).results[0]
        rates.append(round(rows / seconds, 1))
        correct = correct and verified and rows == bench.homing.count()
        for name, value in clock.items():
            spent[name].append(value)
    yield Figure(
        measure="first sync",
        case=f"{bench.plan.middle:,} rows into a Python replica",
        contender="homing",
        unit="items/s",
        better="higher",
        rounds=rates,
        extra={**{name: round(sum(many) / len(many), 3) for name, many in spent.items()}, "correct": correct},
    )


def _prepare(homing: Homing, number: int, _client: int) -> Callable[[], tuple[int, float, dict[str, float], bool]]:
    clock: Clock = defaultdict(float)
    _time_steps(clock)

    def run() -> tuple[int, float, dict[str, float], bool]:
        with tempfile.TemporaryDirectory(prefix="homing-bench-replica-") as folder:
            http = _TimedClient(transport=_Waiting(clock), timeout=TIMEOUT_SECONDS)
            http.clock = clock
            file = Path(folder) / f"replica-{number}.sqlite"
            with Client(file, f"http://127.0.0.1:{homing.port}", http=http) as client:
                client.login("worker", PASSWORD)
                client.register_device(device_type="bench", os_version="1", app_version="1")
                clock.clear()
                start = time.perf_counter()
                report = client.sync()
                seconds = time.perf_counter() - start
                spent = _shares(clock, seconds)
                size = file.stat().st_size / 2**20
                verified = report.ok and client.sync(verify=True).verified is True
            return report.pulled.rows, seconds, {**spent, "replica MiB": size}, verified

    return run


def _shares(clock: Clock, seconds: float) -> dict[str, float]:
    """Each clock as a share of the whole; what no clock saw is the rest."""
    own = {
        "waiting for the server": clock["waiting for the server"],
        "httpx, decompression": clock["exchange"] - clock["waiting for the server"],
        "decoding": clock["decoding"],
        "storing (SQLite)": clock["storing"],
    }
    own["rest"] = seconds - sum(own.values())
    shares = {f"{name} %": 100 * value / seconds for name, value in own.items()}
    return {**shares, "seconds": seconds, "MB on the line": clock["bytes on the line"] / 1e6}


def _time_steps(clock: Clock) -> None:
    """In this process, which ends with the measure: the two steps of a page that are functions of their own."""
    steps: Any = pull_step
    steps.decode = _timed(steps.decode, clock, "decoding")
    steps.pages.apply = _timed(steps.pages.apply, clock, "storing")


def _timed(function: Callable[..., Any], clock: Clock, name: str) -> Callable[..., Any]:
    @wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        with _counted(clock, name):
            return function(*arguments, **options)

    return timed


@contextmanager
def _counted(clock: Clock, name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        clock[name] += time.perf_counter() - start
