"""A push takes effect exactly once, wherever it is cut off.

A server in a process of its own talks to PostgreSQL over a wire (wire.py) that is cut at every statement, or every
message, of a push, before it arrives or before its answer does: the server is killed (SIGKILL), or PostgreSQL ends the
connection. Then the same batch is sent again, by its token or with only its items' own keys, and what became of it is
read from the database, in places that would show it twice: a counter, a journal, the history.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import msgspec
import psycopg
import pytest

from homing.server import serve
from homing.settings import Settings
from tests.sync.errand import Errand
from tests.sync.scene import Caller, Json, Scene, ok
from tests.sync.wire import STATEMENTS, Place, Side, Watch, Wire

fork = multiprocessing.get_context("forkserver")
fork.set_forkserver_preload([__name__])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _serve(settings: Settings, log: Connection) -> None:
    os.dup2(log.fileno(), 2)
    serve.run(settings)


class Node:
    """A server in a process of its own, always on the same port."""

    def __init__(self, settings: Settings) -> None:
        self.settings = msgspec.structs.replace(settings, port=free_port())
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        ours, theirs = fork.Pipe(duplex=False)
        self.process = fork.Process(target=_serve, args=(self.settings, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self._log = os.fdopen(os.dup(ours.fileno()), errors="replace")
        ours.close()
        said: list[str] = []
        for line in self._log:
            said.append(line)
            if re.search("serving on http://", line):
                return
        raise AssertionError("".join(said))

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self._log.close()
        assert self.process.exitcode == -signal.SIGKILL

    def client(self, transport: httpx.BaseTransport | None = None) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.settings.port}", timeout=60, transport=transport)


@contextmanager
def node(settings: Settings) -> Iterator[Node]:
    made = Node(settings)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def through(url: str, folder: Path) -> str:
    """The same database by another socket folder."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return parts._replace(query=urlencode({**query, "host": str(folder)})).geturl()


@pytest.fixture(scope="module")
def wire(shop_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    assert shop_settings.database_url is not None
    query = parse_qs(urlsplit(shop_settings.database_url).query)
    made = Wire(tmp_path_factory.mktemp("wire"), Path(query["host"][0]), int(query["port"][0]))
    yield made
    made.close()


@pytest.fixture(scope="module")
def wired(shop_settings: Settings, wire: Wire) -> Iterator[Node]:
    """A node whose every word to PostgreSQL goes over the wire."""
    assert shop_settings.database_url is not None
    url = through(shop_settings.database_url, wire.folder)
    with node(msgspec.structs.replace(shop_settings, database_url=url)) as made:
        yield made


class Impatient(httpx.BaseTransport):
    """A client that hangs up and takes no answer."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), timeout=60)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        head = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        head += b"".join(b"%s: %s\r\n" % header for header in request.headers.raw)
        self._line.sendall(head + b"\r\n" + request.read())
        assert self._line.recv(1) == b"", "an answer came before anybody hung up"
        raise httpx.ReadError("hung up")

    def hang_up(self) -> None:
        self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._line.close()


@dataclass(frozen=True)
class Blow:
    """What a cut-off push left: whether it was committed, and what the client heard of it, if anything."""

    committed: bool
    heard: int | None


@dataclass
class Bench:
    """A device, the node it talks to, and the wire behind that."""

    device: Caller
    node: Node
    wire: Wire

    def send(
        self, errand: Errand, transport: httpx.BaseTransport | None = None, **envelope: Any
    ) -> httpx.Response | None:
        """None: the connection was lost."""
        with self.node.client(transport) as http:
            device = replace(self.device, scene=replace(self.device.scene, http=http))
            try:
                return device.send(*errand.items, **envelope)
            except httpx.TransportError:
                return None

    def counted(self, *, refused: bool) -> Watch:
        """A push that nothing befalls."""
        errand, watch = Errand(self.device, refused=refused), self._watch(None, None)
        answer = self.answer(errand)
        self.wire.watch(None)
        self.check(errand, ok(answer), {})
        return watch

    def strike(self, place: Place, how: str, *, refused: bool, by_token: bool) -> Blow | None:
        """Cut a push off at ``place``, send it again, and see that it took effect once. None: it has no such place."""
        errand = Errand(self.device, refused=refused)
        envelope = {"batch_token": f"the token of {errand.name}"} if by_token else {}
        impatient = Impatient(self.node.settings.port) if how == "client" else None
        acts = {"server": self._kill_server, "backend": self._end_backend, "client": partial(self._hang_up, impatient)}
        watch = self._watch(place, acts[how])
        answer = self.send(errand, impatient, **envelope)
        self.wire.watch(None)
        if how == "server" and watch.fired:
            self.node.process.join()
            self.wire.wait()
            self.node.kill()
            self.node.start()
        committed = errand.committed()
        if answer is not None and answer.status_code != 200:
            assert (answer.status_code, answer.json()["action"]) == (503, "retry"), answer.text
        if committed:
            assert errand.found() == errand.once
        again = ok(self.answer(errand, **envelope))
        self.check(errand, again, envelope)
        if answer is not None and answer.status_code == 200:
            assert ok(answer)["results"] == again["results"]
        return Blow(committed, None if answer is None else answer.status_code) if watch.fired else None

    def answer(self, errand: Errand, **envelope: Any) -> httpx.Response:
        answer = self.send(errand, **envelope)
        assert answer is not None
        return answer

    def check(self, errand: Errand, told: Json, envelope: Json) -> None:
        """``told`` is what the batch was answered: right, the same as often as it is sent, and true."""
        verdicts = [(result["index"], result["status"], result.get("code")) for result in told["results"]]
        assert verdicts == [(n, *verdict) for n, verdict in enumerate(errand.verdicts)]
        assert errand.found() == errand.once
        if envelope:
            assert ok(self.answer(errand, **envelope)) == told
        assert ok(self.answer(errand))["results"] == told["results"]
        assert errand.found() == errand.once

    def _watch(self, place: Place | None, act: Callable[[int], bool] | None) -> Watch:
        assert self.device.device_id is not None
        watch = Watch(self.device.device_id.encode(), place, act)
        self.wire.watch(watch)
        return watch

    def _kill_server(self, _backend: int) -> bool:
        self.node.process.kill()
        return False

    def _end_backend(self, backend: int) -> bool:
        # From a connection of its own: this is called in a thread of the wire's.
        with psycopg.connect(self.device.scene.conn.info.dsn, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(%s)", [backend])
        return False

    def _hang_up(self, client: Impatient | None, _backend: int) -> bool:
        assert client is not None
        client.hang_up()
        return True

    def sweep(self, side: Side, kinds: bytes, how: str, *, refused: bool, by_token: bool) -> list[Blow]:
        """Every such place of a push, one after the other, until a push gets through."""
        blows = []
        for number in count(1):
            blow = self.strike(Place(side, number, kinds), how, refused=refused, by_token=by_token)
            if blow is None:
                return blows
            blows.append(blow)
        raise AssertionError


@pytest.fixture
def bench(scene: Scene, wired: Node, wire: Wire) -> Bench:
    return Bench(scene.person(), wired, wire)


BEGINS = 2
"""A batch that is done again has two transactions. What opens them is said before the device is named, and may or may
not be answered before."""


def assert_both_sides_of_the_commit(blows: list[Blow]) -> None:
    committed = sum(blow.committed for blow in blows)
    assert 0 < committed < len(blows)
    # Only an answer tells a client of success, and only if there was some.
    assert all(blow.committed for blow in blows if blow.heard == 200)


def test_the_server_is_killed_before_every_statement_and_after_the_last(bench: Bench) -> None:
    least = bench.counted(refused=False)
    blows = bench.sweep("said", STATEMENTS["said"], "server", refused=False, by_token=True)
    assert len(blows) >= least.count("said", STATEMENTS["said"]) - BEGINS >= 13
    last = Place("heard", least.count("heard", STATEMENTS["heard"]), STATEMENTS["heard"])
    for by_token in (True, False):
        blow = bench.strike(last, "server", refused=False, by_token=by_token)
        assert blow == Blow(committed=True, heard=None)
        blows.append(blow)
    assert bench.node.starts >= 1 + len(blows)
    assert_both_sides_of_the_commit(blows)


@pytest.mark.parametrize(
    ("refused", "by_token", "side"),
    [
        pytest.param(False, True, "said", id="fast, by batch_token, before every statement"),
        pytest.param(False, False, "said", id="fast, by the items' keys, before every statement"),
        pytest.param(False, False, "heard", id="fast, by the items' keys, after every statement"),
        pytest.param(True, False, "said", id="careful, by the items' keys, before every statement"),
    ],
)
def test_the_connection_ends(bench: Bench, refused: bool, by_token: bool, side: Side) -> None:
    least = bench.counted(refused=refused)
    blows = bench.sweep(side, STATEMENTS[side], "backend", refused=refused, by_token=by_token)
    assert len(blows) >= least.count(side, STATEMENTS[side]) - BEGINS >= (40 if refused else 13)
    if side == "heard":
        assert_both_sides_of_the_commit(blows)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("by_token", [True, False], ids=["by batch_token", "by the items' keys"])
@pytest.mark.parametrize("refused", [False, True], ids=["fast", "careful"])
@pytest.mark.parametrize("how", ["server", "backend"])
def test_the_end_comes_at_any_message(bench: Bench, how: str, refused: bool, by_token: bool) -> None:
    least = bench.counted(refused=refused)
    said = bench.sweep("said", b"", how, refused=refused, by_token=by_token)
    heard = bench.sweep("heard", b"", how, refused=refused, by_token=by_token)
    assert len(said) >= least.count("said") - 5 * BEGINS >= 50
    assert len(heard) >= least.count("heard") - 5 * BEGINS >= 50
    assert_both_sides_of_the_commit(said + heard)


@pytest.mark.parametrize("by_token", [True, False], ids=["by batch_token", "by the items' keys"])
@pytest.mark.parametrize("refused", [False, True], ids=["fast", "careful"])
def test_nobody_is_there_to_take_the_answer(bench: Bench, refused: bool, by_token: bool) -> None:
    least = bench.counted(refused=refused)
    last = Place("heard", least.count("heard", STATEMENTS["heard"]), STATEMENTS["heard"])
    blow = bench.strike(last, "client", refused=refused, by_token=by_token)
    assert blow == Blow(committed=True, heard=None)


@pytest.mark.parametrize("by_token", [True, False], ids=["by batch_token", "by the items' keys"])
@pytest.mark.parametrize("refused", [False, True], ids=["fast", "careful"])
def test_a_batch_comes_many_times_at_once_to_two_nodes(
    scene: Scene, bench: Bench, refused: bool, by_token: bool
) -> None:
    errand, start = Errand(bench.device, refused=refused), Barrier(8)
    envelope = {"batch_token": f"the token of {errand.name}"} if by_token else {}

    def send(number: int) -> httpx.Response:
        start.wait()
        if number % 2:
            return bench.answer(errand, **envelope)
        return bench.device.send(*errand.items, **envelope)

    with ThreadPoolExecutor(8) as pool:
        answers = [ok(answer) for answer in pool.map(send, range(8))]
    bench.check(errand, answers[0], envelope)
    told = [answer if by_token else answer["results"] for answer in answers]
    assert told == told[:1] * 8
