"""Reading a request's body: strictly, bounded, and cheaply.

What a body must be: JSON in UTF-8, plain or as one gzip or zstd stream, under the published limits, no key twice in an
object, nothing that other parsers read differently. What is refused here is refused before anything was done.

**Is a key twice in an object?** Every parser here and in PostgreSQL would silently take one of them. Building each
object in Python to look costs more than the rest of the request, so: decode the body and encode it again; a key that
was there twice is there once now, with its colon. Strings keep their colons, except where the client wrote one as an
escape. So if nothing was escaped that way and the colons are as many as before, no key was lost. Only otherwise look
slowly.

**How deep is it?** Only a body with more brackets than levels allowed can be too deep. Indent it with one space a level
and look for a line that begins with too many.

**Parts that stay raw.** Some messages hold parts that are read later (a push's items), where one bad part must not cost
the others. There, half a surrogate pair, which phones make by cutting an emoji in two, becomes NUL, which no text may
hold: whoever reads that part refuses it, alone. In all other bodies both are refused here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Hashable, Iterable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
import zstandard
from isal import isal_zlib
from litestar import Request
from msgspec import inspect

from homing.protocol.errors import Problem
from homing.protocol.limits import Limits

T = TypeVar("T")

WINDOW_BYTES_MAX = 8 * 2**20
"""What a zstd frame may ask us to keep in memory."""

BRACKETS_BYTES = 4096
"""In a body larger than this there are more brackets than levels anyway: counting them would be wasted."""

SLOW_LOOK_BYTES = 256 * 2**10
"""A body larger than this is looked at slowly in a thread, so that other requests go on."""

_DAMAGED: Any = (isal_zlib.error, zstandard.ZstdError)
_generic = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_UNICODE_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u([0-9a-fA-F]{4})")
_LONE_SURROGATE = re.compile(
    rb"""(?<!\\)((?:\\\\)*)                       # an even number of backslashes is text
         (?: (\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})   # a pair: stays
           | \\u[dD][89a-fA-F][0-9a-fA-F]{2} )    # half of one""",
    re.VERBOSE,
)


async def read(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body as a ``kind``, within the server's limits.

    Raises Problem: unsupported_media_type, too_large, too_slow, invalid_json, duplicate_key, too_deep,
    invalid_envelope.
    """
    return await decode(await read_bytes(request), kind, limits=request.app.state.limits)


async def read_bytes(request: Request[Any, Any, Any]) -> bytes:
    """The body as it was before it was compressed: for what is signed byte by byte; ``decode`` reads it then.

    Raises Problem: unsupported_media_type, too_large, too_slow, invalid_json.
    """
    limits: Limits = request.app.state.limits
    encoding = _check_headers(request.scope["headers"], limits.body_bytes_max)
    body = await _receive(request, limits)
    return body if encoding is None else _decompress(body, encoding, limits.body_bytes_max)


async def decode(body: bytes, kind: type[T], *, limits: Limits) -> T:
    """Decode a body that was received whole. Raises as ``read`` does."""
    if not body.isascii():
        _check_utf8(body)
    raw_parts = _has_raw_parts(cast("Hashable", kind))
    if b"\\" in body:
        body = _check_escapes(body, raw_parts=raw_parts)
    _check_depth(body, limits.depth_max)
    await _check_keys(body)
    try:
        value: T = _decoder(cast("Hashable", kind)).decode(body)
    except msgspec.ValidationError as error:
        # msgspec says what it expected, what it got, and where.
        raise Problem("invalid_envelope", str(error)) from None
    if raw_parts and rb"\u0000" in body:
        _check_own_text(value)
    return value


def _check_headers(headers: Iterable[tuple[bytes, bytes]], bytes_max: int) -> str | None:
    """The content encoding. Refuses what need not be read at all."""
    media_type = encoding = None
    for name, value in headers:
        if name == b"content-type":
            media_type = value
        elif name == b"content-encoding":
            encoding = value.strip().lower().decode("latin-1")
        elif name == b"content-length" and int(value) > bytes_max:
            raise _too_large(bytes_max)
    if media_type is None or not _is_json(media_type):
        raise Problem("unsupported_media_type")
    if encoding in (None, "identity"):
        return None
    if encoding not in ("gzip", "zstd"):
        raise Problem("unsupported_media_type", "Content-Encoding may be gzip or zstd, once.")
    return encoding


@cache
def _is_json(media_type: bytes) -> bool:
    kind, *parameters = (part.strip() for part in media_type.lower().split(b";"))
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        return False
    return all(parameter in (b"", b"charset=utf-8", b'charset="utf-8"') for parameter in parameters)


async def _receive(request: Request[Any, Any, Any], limits: Limits) -> bytes:
    """The whole body; never more than the limit and one piece is held."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds_max):
            while True:
                message = await request.receive()
                if message["type"] != "http.request":
                    raise Problem("invalid_json", "The connection closed within the body.")
                piece: bytes = message["body"]
                size += len(piece)
                if size > limits.body_bytes_max:
                    raise _too_large(limits.body_bytes_max)
                pieces.append(piece)
                if not message["more_body"]:
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except TimeoutError:
        raise Problem("too_slow", f"The body did not arrive within {limits.body_seconds_max} seconds.") from None


def _decompress(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """One whole stream, never more than the limit of it in memory."""
    try:
        plain, whole = _gunzip(body, bytes_max) if encoding == "gzip" else _unzstd(body, bytes_max)
    except _DAMAGED as error:
        raise Problem("invalid_json", f"The {encoding} stream is damaged.") from error
    if len(plain) > bytes_max:
        raise _too_large(bytes_max)
    if not whole:
        raise Problem("invalid_json", f"The {encoding} stream is cut off, or something follows it.")
    return plain


def _gunzip(body: bytes, bytes_max: int) -> tuple[bytes, bool]:
    stream = isal_zlib.decompressobj(wbits=31)
    plain: bytes = stream.decompress(body, bytes_max + 1)
    return plain, stream.eof and not stream.unused_data


def _unzstd(body: bytes, bytes_max: int) -> tuple[bytes, bool]:
    """In slices, because this stream has no bound on its output: four bytes can stand for 128 KiB of zeros."""
    stream = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompressobj()
    pieces: list[bytes] = []
    size = 0
    for at in range(0, len(body), 512):
        if stream.eof:
            return b"", False
        pieces.append(stream.decompress(body[at : at + 512]))
        size += len(pieces[-1])
        if size > bytes_max:
            break
    return b"".join(pieces), stream.eof and not stream.unused_data


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Problem("invalid_json", f"The body is not UTF-8 at byte {error.start}.") from None


def _check_escapes(body: bytes, *, raw_parts: bool) -> bytes:
    """No NUL and no half of a surrogate pair; where parts are read later, the half becomes the NUL they refuse."""
    if raw_parts:
        return _LONE_SURROGATE.sub(lambda found: found[1] + (found[2] or rb"\u0000"), body) if rb"\u" in body else body
    if rb"\u" in body:
        for found in _LONE_SURROGATE.finditer(body):
            if found[2] is None:
                raise Problem("invalid_json", f"Half a surrogate pair at byte {found.end(1)}.")
        for found in _UNICODE_ESCAPE.finditer(body):
            if found[1] == b"0000":
                raise Problem("invalid_json", f"NUL, which no text may hold, at byte {found.start()}.")
    return body


def _check_own_text(message: Any) -> None:
    """A message with raw parts holds text of its own beside them; a row's columns are raw, their names are not."""
    if isinstance(message, dict):
        if any("\0" in name for name in message):
            raise Problem("invalid_json", "NUL, which no text may hold, in the name of a member")
        return
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, str) and "\0" in value:
            raise Problem("invalid_json", f"NUL, which no text may hold - at `$.{name}`")


def _check_depth(body: bytes, depth_max: int) -> None:
    if len(body) < BRACKETS_BYTES and body.count(b"{") + body.count(b"[") <= depth_max:
        return
    try:
        indented = msgspec.json.format(body, indent=1)
        if b"\n" + b" " * depth_max in indented and _depth(_generic.decode(body)) > depth_max:
            raise _too_deep(depth_max)
    except RecursionError:
        raise _too_deep(depth_max) from None
    except msgspec.DecodeError as error:
        raise Problem("invalid_json", str(error)) from None


def _depth(value: Any) -> int:
    """Levels of objects and arrays."""
    depth = 0
    level = [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


async def _check_keys(body: bytes) -> None:
    try:
        again = _encode(_generic.decode(body))
    except msgspec.DecodeError as error:
        raise Problem("invalid_json", str(error)) from None
    if again == body or (again.count(b":") == body.count(b":") and rb"\u003" not in body):
        return
    if len(body) > SLOW_LOOK_BYTES:
        await asyncio.to_thread(json.loads, body, object_pairs_hook=_refuse_twins)
    else:
        json.loads(body, object_pairs_hook=_refuse_twins)


def _refuse_twins(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Problem("duplicate_key", f"The key {key[:100]!r} appears twice in one object.")
            seen.add(key)


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _has_raw_parts(kind: Hashable) -> bool:
    seen: set[type] = set()

    def look(found: inspect.Type) -> bool:
        match found:
            case inspect.RawType():
                return True
            case inspect.StructType(cls=cls, fields=fields) if cls not in seen:
                seen.add(cls)
                return any(look(field.type) for field in fields)
            case inspect.ListType(item_type=inner) | inspect.DictType(value_type=inner):
                return look(inner)
            case inspect.UnionType(types=types):
                return any(look(each) for each in types)
            case _:
                return False

    return look(inspect.type_info(kind))


def _too_deep(depth_max: int) -> Problem:
    return Problem("too_deep", f"Objects and arrays may nest {depth_max} levels deep.", limit=depth_max)


def _too_large(bytes_max: int) -> Problem:
    return Problem("too_large", f"A body may have {bytes_max} bytes, after decompression.", limit=bytes_max)
