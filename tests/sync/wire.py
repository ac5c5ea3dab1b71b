"""A wire between a server and PostgreSQL that can be cut at any message.

What the two say to each other is a run of messages, each a type byte and a length (PostgreSQL's manual, "Message
Formats"). The wire listens on a socket of its own, passes them on one at a time and counts those of the connections
that a test watches; at the message the test chose it does what the test asked for. So every message of a push, on its
way there or back, is a place to fail at, and nothing of the server has to know.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

Side = Literal["said", "heard"]
"""By the server, to PostgreSQL, or from it."""

STATEMENTS = {"said": b"EQ", "heard": b"C"}
"""The messages that run a statement (Execute, Query), and the one that ends it (CommandComplete)."""


@dataclass(frozen=True)
class Place:
    """The ``number``-th message, from 1, on one side; of these kinds only, if any are named."""

    side: Side
    number: int
    kinds: bytes = b""


@dataclass
class Watch:
    """Watches the transactions in which ``marker`` is said, from there on. At ``place`` calls ``act`` with the process
    id of the connection's backend; from then on the connection is cut, unless ``act`` returns True."""

    marker: bytes
    place: Place | None = None
    act: Callable[[int], bool] | None = None
    passed: list[tuple[Side, bytes]] = field(default_factory=list)
    fired: bool = False

    def count(self, side: Side, kinds: bytes = b"") -> int:
        return sum(each == side and (not kinds or kind in kinds) for each, kind in self.passed)


class Wire:
    """``folder`` is what the server is given as PostgreSQL's socket folder; ``behind`` is the true one."""

    def __init__(self, folder: Path, behind: Path, port: int = 5432) -> None:
        name = f".s.PGSQL.{port}"
        self.folder = folder
        self._behind = str(behind / name)
        self._lock = Lock()
        self._watch: Watch | None = None
        self._threads: list[Thread] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / name))
        self._listening.listen(64)
        self._accepting = Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """To be called when no server uses the wire any more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listening.close()
        self.wait()

    def watch(self, watch: Watch | None) -> None:
        with self._lock:
            self._watch = watch

    def wait(self) -> None:
        """Until PostgreSQL has ended with every connection: for when the server is dead."""
        with self._lock:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                server, _ = self._listening.accept()
            except OSError:
                return
            database = socket.socket(socket.AF_UNIX)
            try:
                database.connect(self._behind)
            except OSError:  # PostgreSQL is down
                server.close()
                database.close()
                continue
            connection = _Connection(self, server, database)
            started = [Thread(target=connection.say, daemon=True), Thread(target=connection.hear, daemon=True)]
            with self._lock:
                for thread in started:
                    thread.start()
                self._threads = [thread for thread in self._threads if thread.is_alive()] + started

    def passes(self, connection: _Connection, side: Side, kind: bytes, message: bytes) -> bool:
        """Whether a message goes on; and what is to happen at this place happens."""
        with self._lock:
            watch = self._watch
            if watch is None:
                return True
            if side == "said" and watch.marker in message:
                connection.watched_by = watch
            if connection.watched_by is not watch:
                return True
            watch.passed.append((side, kind))
            if message[:1] == b"Z" and message[5:6] == b"I":  # idle: what comes next is another transaction
                connection.watched_by = None
            place = watch.place
            if place is None or watch.fired or place.side != side or (place.kinds and kind not in place.kinds):
                return True
            if watch.count(side, place.kinds) != place.number:
                return True
            watch.fired = True
            assert watch.act is not None
            return watch.act(connection.backend)


class _Connection:
    """One connection of the server's, and its twin to PostgreSQL."""

    def __init__(self, wire: Wire, server: socket.socket, database: socket.socket) -> None:
        self._wire, self._server, self._database = wire, server, database
        self.backend = 0
        self.watched_by: Watch | None = None

    def say(self) -> None:
        for kind, message in _messages(self._server, opening=True):
            if not self._wire.passes(self, "said", kind, message) or not _send(self._database, message):
                break
        # PostgreSQL works off what it was sent before it notices.
        with contextlib.suppress(OSError):
            self._database.shutdown(socket.SHUT_WR)

    def hear(self) -> None:
        cut = False
        for kind, message in _messages(self._database):
            if kind == b"K":
                (self.backend,) = struct.unpack("!i", message[5:9])
            cut = cut or not self._wire.passes(self, "heard", kind, message) or not _send(self._server, message)
        for each in (self._server, self._database):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the other thread
            each.close()


def _send(to: socket.socket, message: bytes) -> bool:
    try:
        to.sendall(message)
    except OSError:
        return False
    return True


def _messages(of: socket.socket, *, opening: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """The messages, each with its type byte, until the connection ends. The one that opens a connection has none."""
    held = b""
    while True:
        head = 4 if opening else 5
        while len(held) >= head:
            (length,) = struct.unpack("!i", held[head - 4 : head])
            whole = head - 4 + length
            if len(held) < whole:
                break
            yield (b"" if opening else held[:1]), held[:whole]
            held, opening, head = held[whole:], False, 5
        try:
            more = of.recv(1 << 16)
        except OSError:
            return
        if not more:
            return
        held += more
