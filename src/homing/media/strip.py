"""Takes out of an image file what is not the image, without touching a pixel: EXIF with the place and the camera, XMP,
comments, previews, and whatever was hung behind its end.

What is known to be needed stays; everything else goes, known or not. Pure, on bytes; a file that these formats do not
explain raises ValueError, and is written anew from its pixels instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_JPEG_KEEP = frozenset({0xE0, 0xE2, 0xEE, 0xDB, 0xC4, 0xDD, 0xDC, *range(0xC0, 0xD0)})
"""JFIF, the colour profile, Adobe's colour transform; tables; frames."""
_JPEG_NEXT = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""A marker that ends coded pixels: not a stuffed byte, not a restart."""
_PNG_KEEP = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP sBIT bKGD pHYs acTL fcTL fdAT".split(b" "))
_WEBP_KEEP = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_FLAGS = 0xFF & ~(0x08 | 0x04)
"""Of VP8X: all but EXIF and XMP."""


def strip(data: bytes, content_type: str) -> bytes:
    """The file without what is not the image; equal to ``data`` where there was nothing. Raises ValueError."""
    stripper = _STRIPPERS.get(content_type)
    if stripper is None:
        raise ValueError(f"{content_type} is not understood here")
    try:
        return b"".join(stripper(data))
    except (IndexError, EOFError) as error:
        raise ValueError("the file ends too early") from error


def _jpeg(data: bytes) -> Iterator[bytes]:
    if data[:2] != b"\xff\xd8":
        raise ValueError("no JPEG")
    yield data[:2]
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker where one is due")
        while data[at] == 0xFF:  # a marker may be filled up from the left
            at += 1
        marker = data[at]
        at += 1
        if marker == 0xD9:
            yield b"\xff\xd9"
            return
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            raise ValueError("a marker where none may be")
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at : at + length]
        if length < 2 or len(segment) < length:
            raise EOFError
        at += length
        if marker == 0xDA:
            end = _JPEG_NEXT.search(data, at)
            if end is None:
                raise EOFError
            yield b"\xff\xda" + segment + data[at : end.start()]
            at = end.start()
        elif marker in _JPEG_KEEP and not (marker == 0xE2 and not segment[2:].startswith(b"ICC_PROFILE\x00")):
            if marker == 0xE0 and not segment[2:].startswith(b"JFIF\x00"):
                continue  # JFXX holds a preview
            yield b"\xff" + bytes([marker]) + _without_preview(marker, segment)


def _without_preview(marker: int, segment: bytes) -> bytes:
    """JFIF may hold a small picture behind its 16 bytes: taken before somebody cut the large one."""
    if marker != 0xE0 or len(segment) <= 16:
        return segment
    return b"\x00\x10" + segment[2:14] + b"\x00\x00"


def _png(data: bytes) -> Iterator[bytes]:
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    yield data[:8]
    at = 8
    while True:
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        chunk = data[at : at + length + 12]
        if len(chunk) < length + 12:
            raise EOFError
        if name in _PNG_KEEP:
            yield chunk
        if name == b"IEND":
            return
        at += length + 12


def _webp(data: bytes) -> Iterator[bytes]:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("no WebP")
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise EOFError
    kept: list[bytes] = []
    at = 12
    while at + 8 <= end:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        chunk = data[at : at + 8 + length + (length & 1)]
        if len(chunk) < 8 + length:
            raise EOFError
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & _WEBP_FLAGS]) + chunk[9:]
        if name in _WEBP_KEEP:
            kept.append(chunk)
        at += 8 + length + (length & 1)
    body = b"".join(kept)
    yield b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body


def _gif(data: bytes) -> Iterator[bytes]:
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("no GIF")
    at = 13 + _colours(data[10])
    yield data[:at]
    while True:
        kind = data[at]
        if kind == 0x3B:
            yield b"\x3b"
            return
        if kind == 0x2C:
            pixels = at + 10 + _colours(data[at + 9]) + 1
            end = _blocks_end(data, pixels)
            yield data[at:end]
        elif kind == 0x21:
            end = _blocks_end(data, at + 2)
            repeats = data[at + 3 : at + 14] in (b"NETSCAPE2.0", b"ANIMEXTS1.0")
            if data[at + 1] == 0xF9 or (data[at + 1] == 0xFF and repeats):
                yield data[at:end]
        else:
            raise ValueError("no block where one is due")
        at = end


def _colours(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int) -> int:
    while size := data[at]:
        at += 1 + size
    return at + 1


_STRIPPERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/gif": _gif,
}
