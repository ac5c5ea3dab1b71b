"""What a flow exchanges with its driver. A flow is a generator: it yields a step and is sent the answer to it.

============  ==========================  =======================================================
a flow yields  the driver does             and sends back
============  ==========================  =======================================================
``Request``   one HTTP exchange           ``Response``, or ``Unreachable`` when there was none
``Wait``      sleeps                      ``None``
``Progress``  tells whoever is watching   ``None``
============  ==========================  =======================================================

So the sync loop holds no socket, no clock and no sleep: two drivers, blocking and asyncio, run the very same code, and
a test drives it with a plain function.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

Phase = Literal["login", "schema", "media", "push", "pull", "ack", "verify"]

REQUEST_SECONDS_MAX = 120.0
"""Seconds one exchange may take in all. A server that trickles a byte a minute must not hold the outbox for ever."""
UPLOAD_BYTES_PER_SECOND_MIN = 8 * 1024
"""Bytes per second below which an upload is given up: slower than the worst line worth waiting for."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """The bytes of a file from ``offset`` to its end, read by the driver as it sends them."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. ``target`` is a path on the server, or a whole URL where an upload goes elsewhere."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | FilePart | None = None
    seconds_max: float = REQUEST_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class Response:
    """``headers`` have lower-case names; ``body`` is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer came: no line, a cut, a time-out. Whether the server did the request is unknown."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleep ``seconds`` and up to ``jitter`` seconds more, drawn evenly.

    The draw is the driver's, so that a fleet that lost the same server does not come back in one second.
    """

    seconds: float
    jitter: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the flow is: rows, items or bytes done in this phase, of ``total`` where that is known."""

    phase: Phase
    done: int
    total: int | None = None


Step: TypeAlias = Request | Wait | Progress
Answer: TypeAlias = Response | Unreachable | None
T = TypeVar("T")
Flow: TypeAlias = Generator[Step, Answer, T]
