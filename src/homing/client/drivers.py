"""The two drivers: blocking and asyncio. Each does what a flow asks for, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import httpx

from homing.client import flow, live, login, schema, status
from homing.client.exchange import Answer, FilePart, Flow, Progress, Request, Response, Step, T, Unreachable, Wait
from homing.client.flow import Report
from homing.client.live import Heard
from homing.client.replica import Replica

TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=10.0)
"""Seconds of silence on the line before an exchange is given up; its whole length has a bound of its own."""
READ_BYTES = 64 * 1024
ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of an answer after decompression. A page of the largest size has a tenth of it."""

Watch = Callable[[Progress], None]


class _Base:
    """What both drivers hold."""

    def __init__(
        self, replica: Replica | Path | str, server: str | None, rng: Random | None, watch: Watch | None
    ) -> None:
        self.replica = replica if isinstance(replica, Replica) else Replica(replica)
        if server is not None and server.rstrip("/") != self.replica.store.state().server:
            self.replica.store.set_state(server=server.rstrip("/"))
        known = self.replica.store.state().server
        if known is None:
            raise ValueError("the replica does not know its server yet: give its address")
        self.server = known
        self._rng = rng or Random()  # noqa: S311 - spreads retries, guards nothing
        self._watch = watch

    def _seconds(self, step: Wait) -> float:
        return step.seconds + self._rng.uniform(0, step.jitter)

    def _tell(self, step: Progress) -> None:
        if self._watch is not None:
            self._watch(step)

    def _url(self, request: Request) -> str:
        return request.target if "://" in request.target else self.server + request.target


class Client(_Base):
    """The blocking client of one replica.

    ``rng`` draws the jitter of waits, ``sleep`` waits; ``watch`` is told how far a sync is.
    """

    def __init__(
        self,
        replica: Replica | Path | str,
        server: str | None = None,
        *,
        http: httpx.Client | None = None,
        rng: Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(replica, server, rng, watch)
        self._http = http or httpx.Client(timeout=TIMEOUT)
        self._sleep = sleep

    def login(self, name: str, password: str) -> dict[str, Any]:
        """Sign in with an e-mail or username; returns the user. Raises RefusalError, OtherUserError."""
        return self.run(login.login(self.replica.store, login=name, password=password))

    def logout(self) -> None:
        self.run(login.logout(self.replica.store))

    def enroll(self, token: str, username: str | None = None, **device: Any) -> dict[str, Any]:
        """Redeem an enrolment token (the QR code's text, or a typed code); returns the user.

        ``username`` may be left out where the token names one. ``device``: device_type, os_version, app_version.
        """
        return self.run(login.enroll(self.replica.store, token=token, username=username, device=device))

    def register_device(self, **device: Any) -> dict[str, Any]:
        """``device``: device_type, os_version, app_version, push_token, metadata. Repeated: an update."""
        return self.run(login.register_device(self.replica.store, device))

    def fetch_schema(self) -> None:
        """Make the synced tables from the server's schema, without pulling anything yet."""
        self.run(schema.fetch(self.replica.store))

    def sync(self, *, verify: bool = False) -> Report:
        """Push, pull, ack, upload. What the server asks for instead is in the report, never raised."""
        return self.run(flow.sync(self.replica.store, verified=verify))

    def push(self) -> Report:
        """Only send the outbox."""
        return self.run(flow.push_only(self.replica.store))

    def pull(self) -> Report:
        """Only pull, and ack."""
        return self.run(flow.pull_only(self.replica.store))

    def status(self) -> dict[str, Any]:
        """What the server knows of this device's syncs."""
        return self.run(status.status(self.replica.store))

    def follow(self) -> Iterator[Heard]:
        """Sync, and then keep the replica in step as changes happen, until somebody has to do something: the last news
        is then a report that says what. Leave the loop whenever you like."""
        pauses = live.pauses()
        while True:
            report = self.sync()
            yield Heard(report=report)
            if report.action in live.STOPPING:
                return
            ear = live.Ear(self.replica.store)
            for line in self._lines():
                outcome = ear.take(line)
                if isinstance(outcome, Heard):
                    if outcome.rows:
                        self.run(flow.acked(self.replica.store))
                    yield outcome
                if ear.lost or outcome == "sync":
                    break
            pauses = live.pauses() if ear.heard else pauses
            self._sleep(self._seconds(next(pauses)))

    def _lines(self) -> Iterator[str]:
        """The stream's lines, until it ends however it ends."""
        request = live.request(self.replica.store)
        if request is None:
            return
        try:
            with self._http.stream(request.method, self._url(request), headers=dict(request.headers)) as response:
                if response.status_code == 200:
                    yield from response.iter_lines()
        except (httpx.TransportError, httpx.DecodingError):
            return

    def run(self, steps: Flow[T]) -> T:
        """Drive a flow to its end."""
        answer: Answer = None
        try:
            while True:
                answer = self._do(steps.send(answer))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def _do(self, step: Step) -> Answer:
        match step:
            case Request():
                return self._exchange(step)
            case Wait():
                self._sleep(self._seconds(step))
            case Progress():
                self._tell(step)
        return None

    def _exchange(self, request: Request) -> Response | Unreachable:
        deadline = _Deadline(request)
        try:
            body = _read(request.body, deadline) if isinstance(request.body, FilePart) else request.body
            with self._http.stream(
                request.method, self._url(request), headers=dict(request.headers), content=body
            ) as response:
                answer = bytearray()
                for chunk in response.iter_bytes():
                    deadline.check(answer, chunk)
                return Response(response.status_code, _headers(response), bytes(answer))
        except (httpx.TransportError, httpx.DecodingError, _TooMuchError) as error:
            return Unreachable(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        self._http.close()
        self.replica.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncClient(_Base):
    """The asyncio client of one replica: the same flows. Steps on the replica run in a thread."""

    def __init__(
        self,
        replica: Replica | Path | str,
        server: str | None = None,
        *,
        http: httpx.AsyncClient | None = None,
        rng: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(replica, server, rng, watch)
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT)
        self._sleep = sleep

    async def login(self, name: str, password: str) -> dict[str, Any]:
        return await self.run(login.login(self.replica.store, login=name, password=password))

    async def logout(self) -> None:
        await self.run(login.logout(self.replica.store))

    async def enroll(self, token: str, username: str | None = None, **device: Any) -> dict[str, Any]:
        return await self.run(login.enroll(self.replica.store, token=token, username=username, device=device))

    async def register_device(self, **device: Any) -> dict[str, Any]:
        return await self.run(login.register_device(self.replica.store, device))

    async def fetch_schema(self) -> None:
        await self.run(schema.fetch(self.replica.store))

    async def sync(self, *, verify: bool = False) -> Report:
        return await self.run(flow.sync(self.replica.store, verified=verify))

    async def push(self) -> Report:
        return await self.run(flow.push_only(self.replica.store))

    async def pull(self) -> Report:
        return await self.run(flow.pull_only(self.replica.store))

    async def status(self) -> dict[str, Any]:
        return await self.run(status.status(self.replica.store))

    async def follow(self) -> AsyncIterator[Heard]:
        pauses = live.pauses()
        store = self.replica.store
        while True:
            report = await self.sync()
            yield Heard(report=report)
            if report.action in live.STOPPING:
                return
            ear = await asyncio.to_thread(live.Ear, store)
            async with aclosing(self._lines()) as lines:
                async for line in lines:
                    outcome = await asyncio.to_thread(ear.take, line)
                    if isinstance(outcome, Heard):
                        if outcome.rows:
                            await self.run(flow.acked(store))
                        yield outcome
                    if ear.lost or outcome == "sync":
                        break
            pauses = live.pauses() if ear.heard else pauses
            await self._sleep(self._seconds(next(pauses)))

    async def _lines(self) -> AsyncGenerator[str]:
        request = await asyncio.to_thread(live.request, self.replica.store)
        if request is None:
            return
        try:
            async with self._http.stream(request.method, self._url(request), headers=dict(request.headers)) as response:
                if response.status_code == 200:
                    async for line in response.aiter_lines():
                        yield line
        except (httpx.TransportError, httpx.DecodingError):
            return

    async def run(self, steps: Flow[T]) -> T:
        """Drive a flow to its end. A cancelled run leaves the replica as a killed one does: ready to go on."""
        answer: Answer = None
        try:
            while True:
                step, result = await _in_thread(steps, answer)
                if step is None:
                    ended: T = result
                    return ended
                answer = await self._do(step)
        finally:
            steps.close()

    async def _do(self, step: Step) -> Answer:
        match step:
            case Request():
                return await self._exchange(step)
            case Wait():
                await self._sleep(self._seconds(step))
            case Progress():
                self._tell(step)
        return None

    async def _exchange(self, request: Request) -> Response | Unreachable:
        deadline = _Deadline(request)
        try:
            async with asyncio.timeout(request.seconds_max):
                body = _read_async(request.body) if isinstance(request.body, FilePart) else request.body
                async with self._http.stream(
                    request.method, self._url(request), headers=dict(request.headers), content=body
                ) as response:
                    answer = bytearray()
                    async for chunk in response.aiter_bytes():
                        deadline.check(answer, chunk)
                    return Response(response.status_code, _headers(response), bytes(answer))
        except (httpx.TransportError, httpx.DecodingError, _TooMuchError, TimeoutError) as error:
            return Unreachable(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        await self._http.aclose()
        self.replica.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


class _TooMuchError(Exception):
    """The exchange took too long, or too much came."""


class _Deadline:
    """A bound on a whole exchange: httpx bounds only the silence between two bytes."""

    def __init__(self, request: Request) -> None:
        self._seconds = request.seconds_max
        self._end = time.monotonic() + request.seconds_max

    def check(self, answer: bytearray, chunk: bytes) -> None:
        answer += chunk
        self.check_time()
        if len(answer) > ANSWER_BYTES_MAX:
            raise _TooMuchError(f"more than {ANSWER_BYTES_MAX} bytes came")

    def check_time(self) -> None:
        if time.monotonic() > self._end:
            raise _TooMuchError(f"it took more than {self._seconds:.0f} seconds")


def _read(part: FilePart, deadline: _Deadline) -> Iterator[bytes]:
    with part.path.open("rb") as file:
        file.seek(part.offset)
        while chunk := file.read(READ_BYTES):
            deadline.check_time()
            yield chunk


async def _read_async(part: FilePart) -> AsyncIterator[bytes]:
    with part.path.open("rb") as file:
        file.seek(part.offset)
        while chunk := await asyncio.to_thread(file.read, READ_BYTES):
            yield chunk


async def _in_thread(steps: Flow[Any], answer: Answer) -> tuple[Step | None, Any]:
    """One step in a thread. Cancelled, it is still waited for: a step in the middle of a transaction cannot be left."""
    work = asyncio.ensure_future(asyncio.to_thread(_advance, steps, answer))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():  # anyio cancels again at every wait
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        raise


def _advance(steps: Flow[Any], answer: Answer) -> tuple[Step | None, Any]:
    """One step of a flow: StopIteration could not pass through a future."""
    try:
        return steps.send(answer), None
    except StopIteration as end:
        return None, end.value


def _headers(response: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
