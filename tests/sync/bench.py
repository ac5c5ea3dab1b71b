"""A push that is cut off at a chosen place, sent again, and looked at: the node, the client and the blow.

What became of the push is read from the database, in places that would show it twice (errand.py).
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import msgspec
import psycopg

from homing.server import serve
from homing.settings import Settings
from tests.sync.errand import Errand, Way
from tests.sync.scene import Caller, Json, ok
from tests.sync.wire import Place, Side, Watch, Wire

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
    """A device, the node it talks to, and the wire behind that.

    ``blows`` are further ways to end a connection, by name: each is given the backend's process id. ``mend`` is called
    after one of them, before anything is asked of the database again.
    """

    device: Caller
    node: Node
    wire: Wire
    blows: Mapping[str, Callable[[int], None]] = field(default_factory=dict)
    mend: Callable[[], None] = lambda: None
    patience: float = 0.0
    """Seconds for which a 503 is answered by asking again."""

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

    def counted(self, *, way: Way) -> Watch:
        """A push that nothing befalls, on connections that have its statements prepared."""
        ok(self.answer(Errand(self.device, way=way)))
        errand = self._errand(way)
        watch = self._watch(None, None)
        answer = self.answer(errand)
        self.wire.watch(None)
        self.check(errand, ok(answer), {})
        return watch

    def strike(self, place: Place, how: str, *, way: Way, by_token: bool) -> Blow | None:
        """Cut a push off at ``place``, send it again, and see that it took effect once. None: it has no such place."""
        errand = self._errand(way)
        envelope = {"batch_token": f"the token of {errand.name}"} if by_token else {}
        impatient = Impatient(self.node.settings.port) if how == "client" else None
        acts = {"server": self._kill_server, "backend": self._end_backend, "client": partial(self._hang_up, impatient)}
        watch = self._watch(place, partial(self._strike, self.blows[how]) if how in self.blows else acts[how])
        answer = self.send(errand, impatient, **envelope)
        self.wire.watch(None)
        if how == "server" and watch.fired:
            self.node.process.join()
            self.wire.wait()
            self.node.kill()
            self.node.start()
        if how in self.blows and watch.fired:
            self.mend()
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
        until = monotonic() + self.patience
        while True:
            answer = self.send(errand, **envelope)
            assert answer is not None
            if answer.status_code != 503 or monotonic() > until:
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

    def _errand(self, way: Way) -> Errand:
        if way == "at once":
            # The node has to know the device, and forgets it when it ends or was wrong.
            ok(self.answer(Errand(self.device, way=way)))
        return Errand(self.device, way=way)

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

    def _strike(self, blow: Callable[[int], None], backend: int) -> bool:
        blow(backend)
        return False

    def _hang_up(self, client: Impatient | None, _backend: int) -> bool:
        assert client is not None
        client.hang_up()
        return True

    def sweep(self, side: Side, kinds: bytes, how: str, *, way: Way, by_token: bool, step: int = 1) -> list[Blow]:
        """Every such place of a push, or every ``step``-th, one after the other, until a push gets through."""
        blows = []
        for number in count(1, step):
            blow = self.strike(Place(side, number, kinds), how, way=way, by_token=by_token)
            if blow is None:
                return blows
            blows.append(blow)
        raise AssertionError
