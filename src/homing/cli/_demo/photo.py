"""Small pictures that nobody took: valid PNGs of one colour each, so that photos can travel."""

from __future__ import annotations

import struct
import zlib


def png(red: int, green: int, blue: int, *, size: int = 16) -> bytes:
    """A square of ``size`` pixels in one colour (0 to 255 each)."""
    rows = (b"\x00" + bytes((red, green, blue)) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
