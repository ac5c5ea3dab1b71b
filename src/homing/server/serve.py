"""The process: uvicorn with uvloop and httptools, and what uvicorn leaves open about slow and malformed requests."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from asyncio import TimerHandle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from homing.accounts import users
from homing.protocol.errors import Problem
from homing.protocol.live import INCOMING_BYTES_MAX
from homing.server.app import create_app
from homing.server.live_socket import SocketProtocol
from homing.server.node import open_node
from homing.server.problems import MEDIA_TYPE, body_of
from homing.server.routes.live import GOODBYE
from homing.server.working import Working
from homing.settings import Settings

log = logging.getLogger("homing.server")

HEAD_BYTES_MAX = 64 * 2**10
HEADERS_MAX = 100
"""Browsers and proxies together send a third of that."""
UNREAD_MILLISECONDS = 60_000
"""An answer that nobody takes is given up after this, and its memory with it."""
KEEP_ALIVE_SECONDS = 75
PING_SECONDS = 20
"""A WebSocket whose peer is gone without a word is noticed after two of these."""
SHUTDOWN_SECONDS = 35
"""A push may take 30 seconds; it is finished before the process ends."""


class _Joining:
    """A connection, as the answer to one request sees it: the head leaves together with the first of the body, in one
    packet, which wakes the client once. Where nothing follows at once, the head leaves by itself."""

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head: bytes | None = None
        """What waits; empty once something has left."""

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
            self._loop.call_soon(self._leave)
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data if head else data)

    def _leave(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self._leave()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Protocol(HttpToolsProtocol):
    """uvicorn's, with a deadline and bounds for the head of a request, and problem documents for what is not HTTP."""

    head_seconds: float
    _head_began = False
    _head_bytes = 0
    _deadline: TimerHandle | None = None
    _refusal = "invalid_parameter"

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_began:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse_head()
            elif self._deadline is None:
                self._await_head()

    def on_message_begin(self) -> None:
        self._head_began, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        if len(self.headers) > HEADERS_MAX or sum(map(_length, self.headers)) + len(self.url) > HEAD_BYTES_MAX:
            self._refusal = "headers_too_large"
            raise ValueError("the head of the request is too large")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise ValueError("one Host header is needed")
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.transport is self.transport:
            self.cycle.transport = _Joining(self.transport, self.loop)  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():
            return
        problem = Problem(self._refusal, "" if self._refusal == "headers_too_large" else msg)
        body = body_of(problem)
        self.transport.write(
            STATUS_LINE[problem.code.status or 400]
            + b"content-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (MEDIA_TYPE.encode(), len(body))
            + body
        )
        self.transport.close()

    def shutdown(self) -> None:
        """The server stops: streams without an end are told, everything else is finished."""
        scope: Any = {} if self.cycle is None or self.cycle.response_complete else self.cycle.scope
        if (goodbye := scope.get(GOODBYE)) is not None:
            goodbye(Problem("going_away"))
        super().shutdown()

    def _refuse_head(self) -> None:
        self._refusal = "headers_too_large"
        self.send_400_response("")

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _head_arrived(self) -> None:
        self._head_began = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def _length(header: tuple[bytes, bytes]) -> int:
    return len(header[0]) + len(header[1])


def configure(app: Litestar, *, host: str, port: int) -> uvicorn.Config:
    """How uvicorn runs the application, in production and in tests alike."""
    settings: Settings = app.state.node.settings
    limits = settings.limits
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=type("Protocol", (Protocol,), {"head_seconds": limits.head_seconds_max}),
        ws=type("SocketProtocol", (SocketProtocol,), {"backlog_bytes_max": limits.live_backlog_bytes_max}),
        ws_max_size=INCOMING_BYTES_MAX,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,  # 300 KB of memory a connection, and each message compressed for each
        loop="uvloop",
        lifespan="off",  # the node is opened and closed around the server
        server_header=False,
        date_header=True,
        access_log=False,  # /metrics counts; a proxy in front logs; a request line may hold a signed address
        log_config=None,
        log_level="error",  # what is not HTTP is answered with a 400; a line for each would let anybody fill the log
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        backlog=2048,
    )


class _Server(uvicorn.Server):
    """Says where it listens, once it does; and when told to stop, returns. uvicorn would raise the signal again and so
    end the process at once, with the embedded PostgreSQL still running."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self._stop)
        try:
            yield
        finally:
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        """The second signal does not wait for answers."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in (each for server in self.servers for each in server.sockets):
            log.info("serving on http://%s:%d", *listening.getsockname()[:2])


def run(settings: Settings, *, migrating: bool = True) -> None:
    """Serve until a signal says stop; what is being answered is finished first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    raise_file_limit()
    uvloop.run(_serve(settings, migrating))


def raise_file_limit() -> None:
    """Every live connection is an open file, and systems begin with a thousand: take as many as are allowed."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings, migrating: bool) -> None:
    async with open_node(settings, migrating=migrating) as node:
        if not await users.exist(node.default.database):
            log.info("there is no user yet; make the first: homing users create --login you@example.org --role OWNER")
        app = create_app(node)
        server = _Server(configure(app, host=settings.host, port=settings.port))
        working = asyncio.create_task(Working(node, app.state.metrics).run(), name="jobs")
        working.add_done_callback(_say_why)
        try:
            await server.serve()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def _say_why(working: asyncio.Task[None]) -> None:
    """Jobs wait for their database, whatever happens to it: that they end before the server is a mistake of ours."""
    if not working.cancelled() and (error := working.exception()) is not None:
        log.error("no jobs any more at this node, restart it", exc_info=error)
