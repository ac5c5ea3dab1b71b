"""``GET /api/v1/live`` as a WebSocket: the handshake, the first message, and frames written straight to the line.

What a round sends is made once and goes to thousands, so it does not take the way of an ASGI message, which costs more
than making it: the hub writes whole frames to the transport. What comes in goes the ordinary way. A client that does
not read is noticed by what waits for it in the transport, and is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from litestar.types import Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from homing.accounts.access import read_access_until
from homing.protocol.errors import Action, Problem
from homing.protocol.live import FIRST_SECONDS_MAX, Prolong, Subscribe, bye, decode_from_client
from homing.server.live import Live
from homing.server.live_subscriber import Subscriber
from homing.server.node import Node
from homing.server.problems import MEDIA_TYPE, body_of
from homing.server.tenant import Tenant
from homing.tenants.choose import HEADER, Contradiction, place_of

PATH = "/api/v1/live"
SOCKET = "homing.live"
"""Where the protocol leaves itself in the scope."""
CLOSE_SECONDS = 5
"""How long a closed connection may take to send the rest of what waits. Then it is cut."""
DRAIN_SECONDS = 30
"""How long a client may take for a page of a pull."""
POLICY, TRY_AGAIN = 1008, 1013
"""Close codes: by whom the reason has to be removed before the client comes back."""

_HEADER = HEADER.encode()


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with a second door for whole frames, and a goodbye when the server stops."""

    backlog_bytes_max: int

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: Any = self.scope["extensions"]
            extensions[SOCKET] = self

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.close_with(Problem("going_away"))
        else:
            super().shutdown()

    # The hub's Outlet.

    def send_frames(self, messages: Sequence[bytes]) -> bool:
        transport = self.transport
        if self.close_sent or transport.is_closing():
            return True  # whoever reads from it is about to learn
        if len(messages) == 1:
            message = messages[0]
            transport.write(_head(len(message)) + message)
        else:
            transport.write(b"".join([part for message in messages for part in (_head(len(message)), message)]))
        return transport.get_write_buffer_size() <= self.backlog_bytes_max

    def close_with(self, problem: Problem) -> None:
        """The bye, the closing frame, and the end, at the latest after ``CLOSE_SECONDS``."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        code = TRY_AGAIN if problem.code.action is Action.RETRY else POLICY
        message = bye(problem)
        self.conn.send_close(code, problem.code.code)
        self.transport.write(b"".join([_head(len(message)), message, *self.conn.data_to_send()]))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": problem.code.code})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def _head(size: int) -> bytes:
    """The head of a final text frame of the server's, which is not masked."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


class SocketOutlet:
    """A WebSocket as the hub sees it."""

    __slots__ = ("_socket",)

    def __init__(self, socket: SocketProtocol) -> None:
        self._socket = socket

    def send(self, messages: Sequence[bytes], token: bytes | None = None) -> bool:  # noqa: ARG002 - it is in the text
        return self._socket.send_frames(messages)

    def close(self, problem: Problem) -> None:
        self._socket.close_with(problem)

    async def drained(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._socket.writable.wait()
        except TimeoutError:
            raise Problem("too_slow_reader") from None


class Sockets:
    """The WebSockets of a node: an ASGI application for that one address. ``origins``: further web pages that may
    connect, as ``https://example.org``; those of the server's own address always may."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._origins = frozenset(node.settings.live_origins)
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refusal := self._refusal(scope)) is not None:
            await _refuse(receive, send, refusal)
            return
        self.open += 1
        try:
            await receive()
            accept: Any = {"type": "websocket.accept"}
            await send(accept)
            extensions: Any = scope["extensions"]
            outlet = SocketOutlet(extensions[SOCKET])
            try:
                await self._serve(scope, receive, outlet)
            except Problem as problem:
                outlet.close(problem)
        finally:
            self.open -= 1

    def _refusal(self, scope: Scope) -> Problem | None:
        if scope["path"] != PATH or SOCKET not in (scope.get("extensions") or {}):
            return Problem("not_found")
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is not None and not self._may_come_from(origin.decode("latin-1"), headers.get(b"host", b"")):
            return Problem("forbidden", "Web pages of this origin may not connect.")
        if scope["query_string"]:
            return Problem("invalid_parameter", "The address takes no parameters: say it in the first message.")
        if self.open >= self._node.settings.limits.live_sockets_max:
            return Problem("too_many_connections", retry_after=10)
        return None

    def _may_come_from(self, origin: str, host: bytes) -> bool:
        return origin in self._origins or urlsplit(origin).netloc.lower() == host.decode("latin-1").lower()

    async def _serve(self, scope: Scope, receive: Receive, outlet: SocketOutlet) -> None:
        """From the first message to the last. Raises Problem for what ends the connection from this side."""
        try:
            async with asyncio.timeout(FIRST_SECONDS_MAX):
                text = await _next(receive)
        except TimeoutError:
            raise Problem("too_slow", "Send the subscribe message first.") from None
        if text is None:
            return
        first = decode_from_client(text)
        if not isinstance(first, Subscribe):
            raise Problem("invalid_envelope", "The first message must be of the type subscribe.")
        host = dict(scope["headers"]).get(b"host")
        named = [value for name, value in scope["headers"] if name == _HEADER]
        place = place_of(self._node.directory.by_host, host=host, header=b", ".join(named) if named else None)
        if isinstance(place, Contradiction):
            raise Problem("unauthenticated")
        async with self._node.tenant_of(place, first.token.encode()) as tenant:
            subscriber = await _subscribe(tenant, first, outlet)
            try:
                await _listen(tenant, subscriber, receive)
            finally:
                tenant.live.unsubscribe(subscriber)


async def _subscribe(tenant: Tenant, first: Subscribe, outlet: SocketOutlet) -> Subscriber:
    try:
        return tenant.live.subscribe(*read_token(tenant, first.token), first, outlet)
    except Problem as problem:
        # Perhaps another node made a key since this one read them.
        if problem.code.code not in ("unauthenticated", "invalid_token") or not await tenant.renew_keys():
            raise
        return tenant.live.subscribe(*read_token(tenant, first.token), first, outlet)


def read_token(tenant: Tenant, token: str) -> tuple[Any, float]:
    """Claims, and until when they hold, in seconds of the epoch. Raises Problem("unauthenticated")."""
    return read_access_until(tenant.keys, token, tenant=tenant.name, now=tenant.clock())


async def _listen(tenant: Tenant, subscriber: Subscriber, receive: Receive) -> None:
    live: Live = tenant.live
    while (text := await _next(receive)) is not None:
        message = decode_from_client(text)
        try:
            if not isinstance(message, Prolong):
                raise Problem("invalid_envelope", "It is subscribed already.")
            live.prolong(subscriber, *read_token(tenant, message.token))
        except Problem as problem:
            live.drop(subscriber, problem)


async def _next(receive: Receive) -> str | bytes | None:
    """The next message; None: there will be none."""
    message: Any = await receive()
    if message["type"] == "websocket.disconnect":
        return None
    text: str | bytes = message.get("text") or message.get("bytes") or b""
    return text


async def _refuse(receive: Receive, send: Send, problem: Problem) -> None:
    """A problem document instead of the upgrade."""
    await receive()
    status = problem.code.status or 400
    body = body_of(problem)
    head = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    start: Any = {"type": "websocket.http.response.start", "status": status, "headers": head}
    await send(start)
    rest: Any = {"type": "websocket.http.response.body", "body": body, "more_body": False}
    await send(rest)
