"""Files in a folder of this machine (or a shared mount): the store a laptop has, and enough for one server.

``files/<key>`` holds whole files, ``parts/<key>.part`` unfinished ones. What is promised, and by what:

- *A whole file appears at once or not at all*: it is written as a part, flushed to disk, and given its name by
  ``link``, which unlike ``rename`` never replaces a file. So a second upload of a complete key cannot win, not even in
  a race, and a power cut leaves either no file or all of it.
- *Parts have one writer at a time*, also across processes: every append checks, under the part's ``flock``, that the
  part still has its name and still ends where this writer left it. Beginning anew takes the name away, finishing adds
  one: both show in the link count. So a connection that died without a word cannot disturb the request that continues
  its work.
- *Names change one at a time*, under the ``flock`` of the file ``lock``: what is linked is what was measured, not what
  somebody put in its place since.

Calls into the file system run in threads. A part's lock keeps a thread that is still writing apart from a request that
was cancelled and closes: a file descriptor closed too early may already be somebody else's file.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock

from homing.media.promise import Found, Measure, Promise
from homing.media.store import KEY, Progress
from homing.protocol.errors import Problem

READ_BYTES = 256 * 2**10
"""Bytes read at a time: a download holds this much memory."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PART_ENDING = ".part"


class Folder:
    """See the module. Making one creates its directories; OSError where they cannot be."""

    piece_bytes = 2**20
    direct = None

    def __init__(self, root: Path, *, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._files = root / "files"
        self._parts = root / "parts"
        self._lock = root / "lock"
        for place in (root, self._files, self._parts):  # each by name: parents made on the way get other rights
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.touch(mode=0o600)

    async def begin(self, key: str) -> FolderPart:
        return await asyncio.to_thread(self._begin, key)

    async def resume(self, key: str) -> FolderPart | None:
        return await asyncio.to_thread(self._resume, key)

    async def progress(self, key: str) -> Progress:
        return await asyncio.to_thread(self._progress, key)

    async def settle(self, key: str, promise: Promise, *, measured: Found | None = None) -> Found | None:
        if measured is None:
            measured = await asyncio.to_thread(self._measure, key)
        if measured is not None:
            promise.insist(measured)
        return measured

    async def put(self, key: str, data: bytes, promise: Promise) -> None:
        part = await self.begin(key)
        try:
            await part.write(data)
            await part.finish(promise)
        finally:
            await part.close()

    async def size(self, key: str) -> int | None:
        return await asyncio.to_thread(_size, self._file(key))

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self._file(key).open, "rb")  # buffered: its own lock keeps close() from a read()
        try:
            await asyncio.to_thread(file.seek, start)
            left = None if stop is None else stop - start
            while left is None or left > 0:
                data = await asyncio.to_thread(file.read, READ_BYTES if left is None else min(READ_BYTES, left))
                if not data:
                    return
                left = None if left is None else left - len(data)
                yield data
        finally:
            file.close()

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    async def sweep_parts(self, *, before: datetime) -> int:
        return await asyncio.to_thread(self._sweep_parts, before.timestamp())

    def _file(self, key: str) -> Path:
        return self._files / _checked(key)

    def _part(self, key: str) -> Path:
        return self._parts / (_checked(key).replace("/", "-") + PART_ENDING)

    def _begin(self, key: str) -> FolderPart:
        path = self._part(key)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with _room():
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with _names(self._lock):
            fresh.replace(path)
        return FolderPart(fd, path, self._file(key), self._lock, offset=0, measure=Measure())

    def _resume(self, key: str) -> FolderPart | None:
        path = self._part(key)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        return FolderPart(fd, path, self._file(key), self._lock, offset=os.fstat(fd).st_size, measure=None)

    def _progress(self, key: str) -> Progress:
        size = _size(self._file(key))
        if size is not None:
            return Progress(size, whole=True)
        return Progress(_size(self._part(key)) or 0, whole=False)

    def _measure(self, key: str) -> Found | None:
        try:
            with self._file(key).open("rb") as file:
                return _measure(file.fileno())
        except FileNotFoundError:
            return None

    def _delete(self, key: str) -> None:
        with _names(self._lock):
            for path in (self._part(key), self._file(key)):
                path.unlink(missing_ok=True)

    def _sweep_parts(self, before: float) -> int:
        swept = 0
        for path in self._parts.iterdir():
            with _names(self._lock):
                if path.exists() and path.stat().st_mtime < before:
                    path.unlink()
                    swept += 1
        return swept


class FolderPart:
    """A part, open. ``measure`` follows along where this writer began the file; otherwise finishing reads it."""

    def __init__(self, fd: int, path: Path, file: Path, names: Path, *, offset: int, measure: Measure | None) -> None:
        self.offset = offset
        self._fd: int | None = fd
        self._path = path
        self._file = file
        self._names = names
        self._measure = measure
        self._lock = Lock()

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(self._write, data)

    async def keep(self) -> None:
        await asyncio.to_thread(self._keep)

    async def finish(self, promise: Promise) -> Found:
        return await asyncio.to_thread(self._finish, promise)

    async def discard(self) -> None:
        await asyncio.to_thread(self._discard)

    async def close(self) -> None:
        await asyncio.to_thread(self.let_go)

    def let_go(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _write(self, data: bytes) -> None:
        with self._mine() as fd:
            try:
                with _room():
                    _write_all(fd, data, self.offset)
            except Problem:
                self._remove(fd)  # whoever is next needs the room more than half a file does
                raise
            self.offset += len(data)
            if self._measure is not None:
                self._measure.add(data)

    def _keep(self) -> None:
        with self._mine() as fd, _room():
            os.fsync(fd)

    def _finish(self, promise: Promise) -> Found:
        with self._mine() as fd:
            with _room():
                os.fsync(fd)
                found = _measure(fd) if self._measure is None else self._measure.found()
            if sentence := promise.breach(found):
                self._remove(fd)
                raise Problem("media_mismatch", sentence)
            self._give_name(fd)
            return found

    def _give_name(self, fd: int) -> None:
        with _names(self._names), _room():
            if os.fstat(fd).st_nlink != 1:
                raise _overtaken()
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                os.link(self._path, self._file)
            except FileExistsError:
                raise Problem("state_conflict", "This file is complete already.") from None
            finally:
                self._path.unlink()
        for place in (self._file.parent, self._file.parent.parent):
            _sync_folder(place)

    def _discard(self) -> None:
        with self._mine() as fd:
            self._remove(fd)

    def _remove(self, fd: int) -> None:
        with _names(self._names):
            if os.fstat(fd).st_nlink == 1:  # otherwise the name is another part's by now
                self._path.unlink()

    @contextmanager
    def _mine(self) -> Iterator[int]:
        """The file descriptor, while this writer is the part's only one."""
        with self._lock:
            if self._fd is None:
                raise RuntimeError("the part is closed")
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                there = os.fstat(self._fd)
                if there.st_nlink != 1 or there.st_size != self.offset:
                    raise _overtaken()
                yield self._fd
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)


def _overtaken() -> Problem:
    return Problem("state_conflict", "Another request went on with this upload; ask where it stands.")


@contextmanager
def _names(lock: Path) -> Iterator[None]:
    with lock.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed
        yield


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Problem("storage_full") from error
        raise


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def _measure(fd: int) -> Found:
    measure = Measure()
    at = 0
    while data := os.pread(fd, READ_BYTES, at):
        measure.add(data)
        at += len(data)
    return measure.found()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sync_folder(path: Path) -> None:
    """A new name survives a power cut only once its directory is flushed."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"not a key of ours: {key!r}")
    return key
