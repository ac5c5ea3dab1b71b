"""What a client promised of a file before it sent the first byte, and what was found once all of it had arrived."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from homing.media.sniff import SNIFF_BYTES, mismatch
from homing.protocol.errors import Problem


@dataclass(frozen=True, slots=True)
class Found:
    """A whole file, measured: bytes, SHA-256, and its first SNIFF_BYTES."""

    size: int
    sha256: bytes
    head: bytes


@dataclass(frozen=True, slots=True)
class Promise:
    """``size`` (bytes) and ``sha256`` are None where the client did not say; ``bytes_max`` bounds the file anyway."""

    filename: str
    content_type: str
    size: int | None
    sha256: bytes | None
    bytes_max: int

    @property
    def bound(self) -> int:
        """Bytes that may arrive at most."""
        return self.bytes_max if self.size is None else min(self.size, self.bytes_max)

    def breach(self, found: Found) -> str | None:
        """How ``found`` breaks the promise, as a sentence; None where it keeps it."""
        if self.size is not None and found.size != self.size:
            return f"{self.size} bytes were promised, {found.size} arrived"
        if found.size > self.bytes_max:
            return f"{found.size} bytes are more than the {self.bytes_max} a file may have"
        if self.sha256 is not None and found.sha256 != self.sha256:
            return f"its SHA-256 is {found.sha256.hex()}, {self.sha256.hex()} was promised"
        return mismatch(self.content_type, found.head)

    def insist(self, found: Found) -> None:
        """Raises Problem("media_mismatch") where ``found`` breaks the promise."""
        if sentence := self.breach(found):
            raise Problem("media_mismatch", sentence)


class Measure:
    """Measures a file while it passes by."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = b""

    def add(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        if len(self._head) < SNIFF_BYTES:
            self._head += data[: SNIFF_BYTES - len(self._head)]

    def found(self) -> Found:
        return Found(self._size, self._hash.digest(), self._head)
