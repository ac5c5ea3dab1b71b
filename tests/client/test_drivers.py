"""The two drivers do the same over real HTTP, and neither waits for ever."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from homing.client import AsyncClient, Client, EditError, Report
from homing.client.exchange import Flow, Request, Response, Unreachable, Wait
from tests.client.device import enrolled
from tests.client.peer import Peer
from tests.client.peer_server import Handle, listening


class Blocking:
    """Runs something on a blocking client."""

    def __call__(self, path: Path, server: str, work: Callable[[Any], Any], **options: Any) -> Any:
        waits: list[float] = []
        with Client(path, server, sleep=waits.append, rng=Random(1), **options) as client:
            return work(client), waits


class Asyncio:
    """Runs the same on an asyncio client."""

    def __call__(self, path: Path, server: str, work: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        async def run() -> Any:
            async with AsyncClient(path, server, sleep=sleep, rng=Random(1), **options) as client:
                return await work(client)

        return anyio.run(run), waits


@pytest.fixture(params=[Blocking(), Asyncio()], ids=["blocking", "asyncio"])
def drive(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def device(folder: Path) -> Any:
    peer = Peer(page=2)
    for number in range(5):
        peer.write("site", f"s{number}", name="ü", data={})
    found = enrolled(folder / "r.db", peer)
    found.replica.close()
    return found


def test_a_sync_with_a_file(drive: Any, device: Any, tmp_path: Path) -> None:
    photo = tmp_path / "p.jpg"
    photo.write_bytes(b"photo" * 50_000)

    def to_store(request: Request) -> Response:
        """The peer gives addresses of a store that does not exist; here the peer is the store too."""
        if request.target.startswith("/key-"):
            request = Request(
                method=request.method,
                target=f"http://store{request.target}",
                headers=request.headers,
                body=request.body,
            )
            return device.peer._upload(request, request.body or b"")
        return device.peer(request)

    def at(server: str) -> Handle:
        def handle(request: Request) -> Response:
            response = to_store(request)
            return Response(response.status, response.headers, response.body.replace(b"http://store", server.encode()))

        return handle

    told = []
    addresses: list[str] = []

    def handle(request: Request) -> Response:
        return at(addresses[0])(request)  # the address is known once it listens

    with listening(handle) as server:
        addresses.append(server)

        def work(client: Any) -> Any:
            client.replica.attach("site", "s1", "media", photo, "image/jpeg")
            client.replica.create("visit", {"site_id": "s1"})
            return client.sync(verify=True)

        report, waits = drive(device.path, server, work, watch=told.append)
    assert (report.ok, report.verified, report.uploaded, report.pushed.applied, waits) == (True, True, 1, 2, [])
    phases = [step.phase for step in told]
    assert phases == ["schema", "push", "pull", "ack", "media", "push", "pull", "ack", "verify"]
    device.reopen()
    assert device.everything() == device.peer.visible()


def test_waits_are_spread(drive: Any, device: Any) -> None:
    calls = []

    def flaky(request: Request) -> Response:
        calls.append(request)
        return Response(503, {"retry-after": "3"}, b"") if len(calls) <= 2 else device.peer(request)

    with listening(flaky) as server:
        report, waits = drive(device.path, server, lambda client: client.sync())
    rng = Random(1)
    assert (report.ok, waits) == (True, [3 + rng.uniform(0, 0.5), 3 + rng.uniform(0, 1.0)])


def test_nobody_there(drive: Any, device: Any) -> None:
    with listening(device.peer) as server:
        pass
    report, waits = drive(device.path, server, lambda client: client.sync())
    assert (report.action, report.code, len(waits)) == ("retry", "unreachable", 4)
    assert "Connect" in report.detail


def one_request(path: str, *, seconds: float) -> Flow[Any]:
    return (yield Request(method="GET", target=path, seconds_max=seconds))


def test_an_answer_that_never_ends_is_given_up(drive: Any, device: Any) -> None:
    """The server promises more than it sends; no byte is missed for long enough for the read time-out."""

    def endless(request: Request) -> Response:
        return Response(200, {}, b"x" * 3_000_000)

    with listening(endless) as server:
        answer, _ = drive(device.path, server, lambda client: client.run(one_request("/", seconds=-1)))
    assert isinstance(answer, Unreachable)
    assert "TooMuch" in answer.reason or "Timeout" in answer.reason


def test_login_status_and_the_rest(drive: Any, device: Any) -> None:
    """The other flows, each by its name."""
    results: list[Any] = []

    def work_blocking(client: Client) -> None:
        results.extend(
            [
                client.login("ana", "secret")["id"],
                client.register_device(device_type="tablet")["device_id"],
                client.fetch_schema(),
                client.status(),
                client.push().ok,
                client.pull().ok,
                client.logout(),
            ]
        )

    async def work_asyncio(client: AsyncClient) -> None:
        results.extend(
            [
                (await client.login("ana", "secret"))["id"],
                (await client.register_device(device_type="tablet"))["device_id"],
                await client.fetch_schema(),
                await client.status(),
                (await client.push()).ok,
                (await client.pull()).ok,
                await client.logout(),
            ]
        )

    with listening(device.peer) as server:
        drive(device.path, server, work_blocking if isinstance(drive, Blocking) else work_asyncio)
    assert results == ["user-1", "d00001", None, {}, True, True, None]


def test_a_cancelled_sync_goes_on_later(device: Any) -> None:
    asked = []

    def slow(request: Request) -> Response:
        asked.append(request.target)
        return device.peer(request)

    device.peer.write("site", "s1", name="new")

    async def cancelled(server: str) -> Report:
        async with AsyncClient(device.path, server) as client:
            with anyio.move_on_after(60) as scope:

                def watch(_step: object) -> None:
                    scope.cancel()

                client._watch = watch
                await client.sync()
            assert scope.cancelled_caught
            client._watch = None
            return await client.sync(verify=True)

    with listening(slow) as server:
        report = anyio.run(cancelled, server)
    assert (report.ok, report.verified) == (True, True)


def test_a_sync_that_is_cancelled_twice_leaves_no_step_behind(device: Any) -> None:
    begun, release = threading.Event(), threading.Event()

    def steps() -> Any:
        begun.set()
        assert release.wait(10)
        yield Wait(0.0, 0.0)

    async def twice() -> None:
        async with AsyncClient(device.path, "http://127.0.0.1:9") as client:
            running = asyncio.create_task(client.run(steps()))
            await asyncio.to_thread(begun.wait)
            for _ in range(2):
                running.cancel()
                await anyio.lowlevel.checkpoint()
            release.set()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(twice())


def test_edits_while_a_sync_runs_in_a_thread(device: Any) -> None:
    async def both(server: str) -> list[Report]:
        reports = []
        async with AsyncClient(device.path, server) as client, anyio.create_task_group() as group:

            async def syncing() -> None:
                reports.extend([await client.sync() for _ in range(8)])

            async def editing() -> None:
                for number in range(40):
                    client.replica.update("site", "s1", count=number)
                    await anyio.lowlevel.checkpoint()

            group.start_soon(syncing)
            group.start_soon(editing)
        return reports

    with listening(device.peer) as server:
        reports = anyio.run(both, server)
        assert all(report.ok for report in reports)
        with Client(device.path, server) as client:
            assert client.sync(verify=True).verified is True
    assert device.peer.visible()["site", "s1"]["count"] == 39
    assert set(device.peer.effects.values()) == {1}


def test_a_client_needs_to_know_its_server(folder: Path) -> None:
    with pytest.raises(ValueError, match="address"):
        Client(folder / "r.db")
    with Client(folder / "r.db", "http://one/") as client:
        assert client.server == "http://one"
        with pytest.raises(EditError):
            client.replica.create("site", {})
    with Client(folder / "r.db") as client:
        assert client.server == "http://one"


def test_uploads_and_answers_are_json_of_the_protocol(device: Any) -> None:
    seen = []

    def look(request: Request) -> Response:
        seen.append(request)
        return device.peer(request)

    with listening(look) as server, Client(device.path, server) as client:
        client.replica.update("site", "s1", note="n" * 2000)
        client.sync()
    push = next(request for request in seen if request.target.endswith("/push"))
    assert push.headers["content-encoding"] == "gzip"
    assert push.headers["content-type"] == "application/json"
    assert "zstd" in push.headers["accept-encoding"]
    assert json.dumps(push.headers["user-agent"]).startswith('"homing-client Python/')
