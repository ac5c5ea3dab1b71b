"""Where files live: one small interface, a folder (``folder.py``) and a bucket (``bucket.py``) behind it.

Three places a file can be in, and what each of them means:

*a part*      begun, not whole. Never served, never verified; it can be continued, and is swept when it grows old.
*whole*       every byte arrived. In a folder that is final. In a bucket, where the client holds a signed URL that it
              can use again until it expires, whole is not final yet.
*settled*     measured, as promised, and out of reach of every URL given out: its bytes never change again. Only
              settled files are named by rows and served.

A key is made here and nowhere else: a date, so that folders stay small and people find their way, and 128 random bits,
so that it says nothing about its owner and cannot be guessed. What the client calls the file is never part of a path.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homing.media.promise import Found, Promise

KEY = re.compile(r"\d{8}/[0-9a-f]{32}")
"""The shape of every key. Anything else never reaches a store."""


def new_key(now: datetime) -> str:
    """A key nobody used before, for an upload begun at ``now``. Hex, because some folders ignore case."""
    return f"{now:%Y%m%d}/{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is: ``offset`` bytes are kept; ``whole`` once there is nothing left to send."""

    offset: int
    whole: bool


class Part(Protocol):
    """An upload in progress, open for writing at ``offset``.

    Only one writer goes on at a time: whoever was overtaken by another request for the same key gets
    Problem("state_conflict") from its next call, and has changed nothing.
    """

    offset: int

    async def write(self, data: bytes) -> None:
        """Append. Raises Problem("storage_full"), after which the part is gone."""

    async def keep(self) -> None:
        """What was written survives a power cut."""

    async def finish(self, promise: Promise) -> Found:
        """Make the part whole. Raises Problem("media_mismatch"), after which the part is gone."""

    async def discard(self) -> None:
        """Remove the part."""

    async def close(self) -> None:
        """Let go of it. Safe to call twice, and at any moment."""


class Direct(Protocol):
    """Addresses of the store's own, for one key and ``seconds``. ``put_headers`` go with a PUT, besides the type."""

    put_headers: Mapping[str, str]

    async def put_url(self, key: str, *, seconds: int) -> str: ...

    async def get_url(self, key: str, *, seconds: int) -> str: ...


class Store(Protocol):
    """Everything raises Problem("unavailable") while the store cannot be reached."""

    bytes_max: int
    """Bytes of one file."""
    piece_bytes: int
    """How much to collect before calling ``Part.write``."""

    @property
    def direct(self) -> Direct | None:
        """How clients can talk to the store themselves; None where everything passes through this server."""

    async def begin(self, key: str) -> Part:
        """A part at offset 0; an older part of this key is overtaken."""

    async def resume(self, key: str) -> Part | None:
        """The part as far as it got; None where there is none."""

    async def progress(self, key: str) -> Progress: ...

    async def settle(self, key: str, promise: Promise, *, measured: Found | None = None) -> Found | None:
        """Settle a whole file and say what it is; None where the file is not whole. Settling twice is harmless.

        ``measured`` saves reading it again where the caller has just written it. The caller holds the lock of the
        upload's row, so nobody else settles this key meanwhile. Raises Problem("media_mismatch") and settles nothing
        where the file breaks the promise.
        """

    async def put(self, key: str, data: bytes, promise: Promise) -> None:
        """A settled file that this server made itself, under a key that is new. Raises Problem("storage_full")."""

    async def size(self, key: str) -> int | None:
        """Bytes of a settled file (in a folder: of a whole one); None where there is none."""

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, stop) of a settled file. Raises FileNotFoundError where there is none."""

    async def delete(self, key: str) -> None:
        """Remove whatever there is under this key: parts, whole, settled. Absent is fine."""

    async def sweep_parts(self, *, before: datetime) -> int:
        """Remove parts that nobody wrote to since ``before``; how many."""
