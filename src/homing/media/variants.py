"""Images in other sizes: made by a job once the upload is settled, found when somebody fetches the file.

Of each image there is a ``thumb`` and a ``medium``, as JPEG (PNG where it is transparent), WebP and AVIF; upright, in
sRGB, and without anything a camera writes beside the pixels. And an ``original``: the whole image without its metadata.
Where it is upright that takes no pixel away (``strip.py``), and where there was nothing to take away the upload is its
own original. An upload that asked to keep its metadata is its own original too.

Until that is done, and where it cannot be done, the file as it was sent goes to whoever sent it and to the office, and
to nobody else: it may say where it was taken.

An image that cannot be read is *broken*: a state with a sentence, which is the job's result, not its failure. Only what
may be different next time (the store is away, the disk is full) is tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from homing.media.promise import Promise
from homing.media.store import Store, new_key
from homing.media.strip import strip
from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, fetch_one, load

log = logging.getLogger("homing.media")

TASK: Final = "homing.images"
BOXES: Final = {"thumb": 320, "medium": 1280}
"""Kind → longest side in pixels: a list on any screen, and a phone's whole screen. Smaller images stay as they are."""
_HEIC = {} if find_spec("pillow_heif") is None else {"image/heic": "HEIF", "image/heif": "HEIF"}
"""By the extra ``heic``: its wheel holds a library under the GPL (ADR 0067)."""
READERS: Final = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/pjpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/x-ms-bmp": "BMP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
} | _HEIC
"""Types that are read, and Pillow's name of each."""
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
"""Readers whose files can be stripped without decoding them."""

SECONDS_MAX = 60
"""How long the program may take for one image: the largest takes a tenth of that."""
MEMORY_BYTES_MAX = 1536 * 2**20
"""Address space of the program: the largest image a few times over, at four bytes a pixel."""
AT_ONCE = 2
"""Images read side by side by one process: they are a processor each."""

_readers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="images")
_PROGRAM = Path(__file__).with_name("shrink.py")


@dataclass(frozen=True, slots=True)
class Variant:
    """One file that was made. ``bytes`` is its size."""

    kind: str
    format: str
    width: int
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The image cannot be used; ``problem`` says why."""

    problem: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Pixels of an image and bytes of its file; what is larger is not even opened."""

    pixels_max: int
    bytes_max: int


def is_image(content_type: str) -> bool:
    """Whether variants are made of files of this type."""
    return content_type in READERS


async def make_variants(db: Database, store: Store, *, key: str, bounds: Bounds, now: datetime) -> str:
    """Make the variants of an upload that waits for them; its state afterwards. Safe to call again, at any time.

    Raises Problem: unavailable, storage_full.
    """
    async with db.connection() as conn:
        row = await fetch_one(conn, load("homing.media", "read_image"), {"key": key})
    if row is None or row[0] != "waiting":
        return "gone" if row is None else str(row[0])
    _, content_type, filename, size, keep = row
    if size > bounds.bytes_max:
        found: list[Variant] | Broken = Broken(f"the file has {size} bytes, an image may have {bounds.bytes_max}")
    else:
        found = await _read(store, key, content_type=content_type, keep=keep, bounds=bounds)
    if isinstance(found, Broken):
        log.info("image %s is broken: %s", key, found.problem)
        return await _settle(db, key, problem=found.problem)
    keys = [new_key(now) for _ in found]
    async with db.transaction() as conn:
        # A try that died left rows and perhaps files; the rows know them.
        if await fetch_one(conn, load("homing.media", "lock_upload"), {"key": key}) is None:
            return "gone"
        for (old,) in await fetch_all(conn, load("homing.media", "delete_variants"), {"key": key}):
            await store.delete(old)
        if found:
            await execute(conn, load("homing.media", "insert_variants"), {"media_id": key, **_columns(found, keys)})
    for variant, place in zip(found, keys, strict=True):
        await store.put(place, variant.data, _promise(variant, filename, store))
    state = await _settle(db, key)
    if state == "gone":  # swept meanwhile, with what was there then
        for place in keys:
            await store.delete(place)
    return state


def named(filename: str, format_: str) -> str:
    """What a variant is called when somebody saves it."""
    stem = filename.rpartition(".")[0] or filename
    ending = "jpg" if format_ == "jpeg" else format_
    return f"{stem[:200]}.{ending}"


async def _settle(db: Database, key: str, *, problem: str | None = None) -> str:
    state = "made" if problem is None else "broken"
    params = {"key": key, "state": state, "problem": problem}
    async with db.connection() as conn:
        return state if await execute(conn, load("homing.media", "settle_image"), params) else "gone"


def _columns(found: Sequence[Variant], keys: Sequence[str]) -> dict[str, list[Any]]:
    return {
        "kinds": [each.kind for each in found],
        "formats": [each.format for each in found],
        "widths": [each.width for each in found],
        "heights": [each.height for each in found],
        "sizes": [len(each.data) for each in found],
        "keys": list(keys),
    }


def _promise(variant: Variant, filename: str, store: Store) -> Promise:
    sha256 = hashlib.sha256(variant.data).digest()
    name = named(filename, variant.format)
    return Promise(name, f"image/{variant.format}", len(variant.data), sha256, max(store.bytes_max, len(variant.data)))


async def _read(store: Store, key: str, *, content_type: str, keep: bool, bounds: Bounds) -> list[Variant] | Broken:
    with tempfile.TemporaryDirectory(prefix="homing-image-") as folder:
        path = Path(folder) / "image"
        try:
            with path.open("wb") as file:
                async for chunk in store.read(key):
                    await asyncio.to_thread(file.write, chunk)
        except FileNotFoundError:
            return Broken("the store has lost the file")
        run = _Run(path, READERS[content_type], bounds)
        try:
            return await asyncio.get_running_loop().run_in_executor(_readers, run.variants, keep)
        finally:
            run.stop()


class _Run:
    """The program, once or twice, for one file. Called in a thread; ``stop`` from any."""

    def __init__(self, path: Path, reader: str, bounds: Bounds) -> None:
        self._path = path
        self._reader = reader
        self._bounds = bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def variants(self, keep: bool) -> list[Variant] | Broken:
        whole = self._reader not in _TYPES and not keep
        answer = self._shrink(whole=whole)
        if isinstance(answer, Broken):
            return answer
        if keep:
            return [each for each in answer.made if each.kind != "original"]
        if any(each.kind == "original" for each in answer.made):
            return answer.made
        data = self._path.read_bytes()
        try:
            clean = strip(data, _TYPES[self._reader])
        except ValueError:
            # Pillow reads more than the format allows: then the pixels are all that is taken over.
            again = self._shrink(whole=True)
            return again if isinstance(again, Broken) else again.made
        if clean == data:
            return answer.made
        name = self._reader.lower()
        return [Variant("original", name, answer.width, answer.height, clean), *answer.made]

    def _shrink(self, *, whole: bool) -> _Answer | Broken:
        folder = self._path.with_name("made-whole" if whole else "made")
        folder.mkdir()
        order = {
            "path": str(self._path),
            "folder": str(folder),
            "reader": self._reader,
            "boxes": BOXES,
            "whole": whole,
            "pixels_max": self._bounds.pixels_max,
            "memory_bytes_max": MEMORY_BYTES_MAX,
            "seconds_max": SECONDS_MAX,
        }
        # -I: nothing of the environment is listened to; and none of it, with its passwords, is handed on.
        command = [sys.executable, "-I", "-B", str(_PROGRAM), json.dumps(order)]
        with subprocess.Popen(  # noqa: S603 - our own program, and no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd=folder
        ) as process:
            self._process = process
            if self._stopped:
                process.kill()
            try:
                out, _ = process.communicate(timeout=2 * SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                return Broken(f"reading it takes more than {2 * SECONDS_MAX} seconds")
        if process.returncode != 0 or not out:
            return Broken(f"reading it ended the program that does (status {process.returncode})")
        answer = json.loads(out)
        if "problem" in answer:
            return Broken(answer["problem"].replace("\x00", ""))
        made = [
            Variant(each["kind"], each["format"], each["width"], each["height"], Path(each["path"]).read_bytes())
            for each in answer["made"]
        ]
        return _Answer(answer["width"], answer["height"], made)


@dataclass(frozen=True, slots=True)
class _Answer:
    width: int
    height: int
    made: list[Variant]
