"""HTTP to carriers: bounded in time, in size and in number, and for browsers' ones only to public addresses.

A browser's endpoint is an address that a client gave us. Without care, whoever can register one can make the server
send requests to what only the server can reach. So the name is resolved here, every address it has must be a public
one, and the connection is made to that very address: a name that leads elsewhere a moment later gains nothing.
Redirects are never followed, and of an answer no more is read than an error's reason.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from time import monotonic
from typing import Any

import httpcore
import httpx

from homing.notify.message import Later, Message, Outcome, Say

# It would write every address into the log, and who has an address of a browser or phone can send to it.
logging.getLogger("httpx").setLevel(logging.WARNING)

SECONDS_MAX = 20.0
"""For one request, whatever it waits for. Carriers answer in a tenth of a second."""
BATCH_SECONDS = 300.0
"""For the messages that a worker took at a time. What was not begun by then waits for another attempt."""
ANSWER_BYTES_MAX = 64 * 2**10
"""Bytes of an answer that are read: a hundred of Expo's tickets have a quarter of it."""
LANE = 8
"""Connections of one of httpx's clients."""
KEPT_SECONDS = 60.0
"""How long an idle connection is kept."""
RETRY_AFTER_MAX = 6 * 3600.0
"""Seconds. Who asks for more is asked again then."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds, where the header says so, as a number or a date (RFC 9110)."""
        given = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(given) if given.isdigit() else _until(given)
        except (ValueError, TypeError):
            return None
        return min(max(seconds, 0.0), RETRY_AFTER_MAX)

    def later(self, carrier: str, reason: str = "") -> Later:
        return Later(f"{carrier}: {self.status} {reason or self.text}".rstrip(), self.retry_after)

    @property
    def text(self) -> str:
        return self.body[:200].decode("utf-8", "replace").replace("\x00", "").replace("\n", " ")


class Client:
    """A client for one carrier, with up to ``at_once`` requests under way; ``public_only``: for addresses that
    clients chose. Raises OSError for an unusable ``ca``.

    It is several of httpx's, of which a request takes the first that has room: a pool looks at all of its connections
    for every request, several times over, and one of fifty costs three times as much CPU as seven of eight.
    """

    def __init__(self, *, ca: Path | None, at_once: int, http2: bool, public_only: bool = False) -> None:
        context = trust(ca)
        count = -(-at_once // LANE)
        self._lanes = [_open_lane(context, http2=http2, public_only=public_only) for _ in range(count)]
        self._busy = [0] * count

    async def post(self, url: str, **request: Any) -> Answer:
        """One request. Raises httpx.HTTPError, httpx.InvalidURL, OSError and TimeoutError."""
        lane = min(range(len(self._busy)), key=lambda n: self._busy[n] // LANE)
        self._busy[lane] += 1
        try:
            async with asyncio.timeout(SECONDS_MAX), self._lanes[lane].stream("POST", url, **request) as answer:
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > ANSWER_BYTES_MAX:
                        break
                return Answer(answer.status_code, answer.headers, body[:ANSWER_BYTES_MAX])
        finally:
            self._busy[lane] -= 1

    async def close(self) -> None:
        for lane in self._lanes:
            await lane.aclose()


def trust(ca: Path | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if ca is not None:
        context.load_verify_locations(cafile=ca)
    return context


def _open_lane(context: ssl.SSLContext, *, http2: bool, public_only: bool) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=LANE, max_keepalive_connections=LANE, keepalive_expiry=KEPT_SECONDS)
    transport = httpx.AsyncHTTPTransport(verify=context, http2=http2, limits=limits)
    if public_only:
        # httpx has no argument for it; httpcore, which it is made of, has.
        transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=LANE,
            max_keepalive_connections=LANE,
            keepalive_expiry=KEPT_SECONDS,
            http1=True,
            http2=http2,
            network_backend=PublicOnly(),
        )
    # Proxies and further authorities would come from the environment, which only the settings read.
    return httpx.AsyncClient(transport=transport, timeout=SECONDS_MAX, trust_env=False, follow_redirects=False)


async def send_each(
    messages: Iterable[Message], send: Callable[[Message], Awaitable[Outcome]], say: Say, *, at_once: int
) -> None:
    """For carriers that take one message a request: so many at once."""
    places = asyncio.Semaphore(at_once)
    until = monotonic() + BATCH_SECONDS

    async def sent(message: Message) -> None:
        async with places:
            if monotonic() > until:
                say(message, Later(f"{message.provider}: it is too slow"))
            else:
                say(message, await guard(message.provider, send(message)))

    async with asyncio.TaskGroup() as tasks:
        for message in messages:
            tasks.create_task(sent(message))


async def guard(carrier: str, sending: Awaitable[Outcome]) -> Outcome:
    """What went wrong on the way is no fault of the message."""
    try:
        return await sending
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        return Later(f"{carrier}: {type(error).__name__}: {error}"[:300])


class NotPublicError(OSError):
    """An address that clients may not send the server to."""


class PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to what the public internet could connect to."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        address = await find_public(host, port)
        return await self._inner.connect_tcp(
            address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
        )

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def find_public(host: str, port: int) -> str:
    """An address of ``host``. Raises NotPublicError where any of its addresses is not public, httpcore.ConnectError
    where it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    addresses = [str(address[0]) for *_, address in found]
    if not addresses or not all(map(is_public, addresses)):
        raise NotPublicError("the endpoint is not at a public address")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether everybody on the internet means the same by this address. An IPv4 address in IPv6's clothes counts as
    what it is: mapped, 6to4, Teredo and NAT64 reach where it leads."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner or found.packed.startswith(_NAT64):
            return ip_address(found.packed[-4:]).is_global if not inner else inner.is_global
    return found.is_global and not found.is_multicast


_NAT64 = bytes.fromhex("0064ff9b0000000000000000")


def _until(date: str) -> float:
    return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
