"""Files in an S3-compatible bucket (or Google's, or Azure's), through obstore.

Clients PUT straight to ``incoming/<key>`` by a signed URL. Such a URL can be used again until it expires, and nothing
in it bounds the size: so what lies there is whole, but not settled. Settling reads it once, measuring and writing
``files/<key>`` at the same time, which becomes visible only if everything was as promised, with headers that make a
browser save it. No URL to write there is ever given out: what was verified cannot be replaced.

A direct PUT is one request: after a cut it starts again. A client with large files and a bad line asks for a resumable
upload instead; its bytes then pass through this server, a piece at a time, as ``parts/<key>/<attempt>/<offset>``
(object stores cannot append). Pieces are created, never replaced, so of two writers one is refused; a newer attempt
overtakes the older ones. Any node can continue what another began. Finishing joins the pieces into ``incoming/<key>``.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from homing.media.names import attachment
from homing.media.promise import Found, Measure, Promise
from homing.media.store import KEY, Progress
from homing.protocol.errors import Problem

READ_BYTES = 2**20
"""Bytes read from the bucket at a time."""
SETTLING_MAX = 2
"""Files settled at once by this node: each holds a few of S3's 5 MiB parts in memory, and one database connection."""


class Bucket:
    """See the module. Nothing is asked of the bucket before the first use."""

    piece_bytes = 4 * 2**20

    def __init__(self, objects: S3Store | GCSStore | AzureStore, *, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._objects = objects
        self._settling = asyncio.Semaphore(SETTLING_MAX)
        # Azure wants to be told what kind of object it gets, and its signatures do not say.
        self.put_headers: Mapping[str, str] = {"x-ms-blob-type": "BlockBlob"} if isinstance(objects, AzureStore) else {}

    @property
    def direct(self) -> Bucket:
        return self

    async def put_url(self, key: str, *, seconds: int) -> str:
        with _reached():
            return await obstore.sign_async(self._objects, "PUT", _incoming(key), timedelta(seconds=seconds))

    async def get_url(self, key: str, *, seconds: int) -> str:
        with _reached():
            return await obstore.sign_async(self._objects, "GET", _file(key), timedelta(seconds=seconds))

    async def begin(self, key: str) -> BucketPart:
        return BucketPart(self, key, attempt=f"{time.time_ns():020d}-{secrets.token_hex(8)}", offset=0)

    async def resume(self, key: str) -> BucketPart | None:
        attempts = await self.pieces(key)
        if not attempts:
            return None
        attempt = max(attempts)
        return BucketPart(self, key, attempt=attempt, offset=sum(attempts[attempt]))

    async def progress(self, key: str) -> Progress:
        for path in (_file(key), _incoming(key)):
            size = await self._size(path)
            if size is not None:
                return Progress(size, whole=True)
        attempts = await self.pieces(key)
        return Progress(sum(attempts[max(attempts)]) if attempts else 0, whole=False)

    async def settle(
        self,
        key: str,
        promise: Promise,
        *,
        measured: Found | None = None,  # noqa: ARG002 - the bytes have to be moved, and are measured on the way
    ) -> Found | None:
        async with self._settling:
            settled = await self._size(_file(key))
            if settled is not None:
                return await self._measure(_file(key))
            size = await self._size(_incoming(key))
            if size is None:
                return None
            if size > promise.bound:
                raise Problem("media_mismatch", f"{size} bytes arrived, {promise.bound} were allowed")
            found = await self.write(_file(key), self._chunks(_incoming(key)), promise)
            await self._remove([_incoming(key)])
            return found

    async def put(self, key: str, data: bytes, promise: Promise) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield data

        await self.write(_file(key), once(), promise)

    async def size(self, key: str) -> int | None:
        return await self._size(_file(key))

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        async for chunk in self._chunks(_file(key), start=start, stop=stop):
            yield chunk

    async def delete(self, key: str) -> None:
        await self._remove([_file(key), _incoming(key), *await self._list(f"parts/{key}/")])

    async def sweep_parts(self, *, before: datetime) -> int:
        with _reached():
            old = [
                each["path"]
                async for page in obstore.list(self._objects, "parts/")
                for each in page
                if each["last_modified"] < before
            ]
        await self._remove(old)
        return len(old)

    # For BucketPart.

    async def pieces(self, key: str) -> dict[str, list[int]]:
        """Attempt → sizes of its pieces, from the first as far as they follow each other."""
        attempts: dict[str, list[int]] = {}
        with _reached():
            found = [each async for page in obstore.list(self._objects, f"parts/{key}/") for each in page]
        for each in sorted(found, key=lambda each: each["path"]):
            attempt, offset = each["path"].split("/")[-2:]
            sizes = attempts.setdefault(attempt, [])
            if int(offset) == sum(sizes):
                sizes.append(each["size"])
        return attempts

    async def create_piece(self, path: str, data: bytes) -> None:
        with _written():
            try:
                await obstore.put_async(self._objects, path, data, mode="create")
            except AlreadyExistsError:
                raise _overtaken() from None

    async def join(self, key: str, paths: list[str], promise: Promise) -> Found:
        async def chunks() -> AsyncIterator[bytes]:
            for path in paths:
                async for chunk in self._chunks(path):
                    yield chunk

        return await self.write(_incoming(key), chunks(), promise)

    async def write(self, path: str, chunks: AsyncIterator[bytes], promise: Promise) -> Found:
        """Write what ``chunks`` brings, visible only if it keeps the promise."""
        measure = Measure()

        async def checked() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                measure.add(chunk)
                yield chunk
            promise.insist(measure.found())  # an error here, before the last part is committed, leaves no object

        with _written():
            await obstore.put_async(
                self._objects,
                path,
                checked(),
                attributes={
                    "Content-Type": promise.content_type,
                    "Content-Disposition": attachment(promise.filename),
                },
                use_multipart=True,
                max_concurrency=2,
            )
        return measure.found()

    async def forget_pieces(self, key: str) -> None:
        await self._remove(await self._list(f"parts/{key}/"))

    async def _size(self, path: str) -> int | None:
        with _reached():
            try:
                return (await obstore.head_async(self._objects, path))["size"]
            except FileNotFoundError:
                return None

    async def _measure(self, path: str) -> Found:
        measure = Measure()
        async for chunk in self._chunks(path):
            measure.add(chunk)
        return measure.found()

    async def _chunks(self, path: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        if stop == start:
            return
        with _reached():
            if stop is not None:
                got = await obstore.get_async(self._objects, path, options={"range": (start, stop)})
            else:
                got = await obstore.get_async(
                    self._objects, path, options={"range": {"offset": start}} if start else {}
                )
            async for chunk in got.stream(min_chunk_size=READ_BYTES):
                yield bytes(chunk)

    async def _list(self, prefix: str) -> list[str]:
        with _reached():
            return [each["path"] async for page in obstore.list(self._objects, prefix) for each in page]

    async def _remove(self, paths: list[str]) -> None:
        with _reached():
            for path in paths:
                try:
                    await obstore.delete_async(self._objects, path)
                except FileNotFoundError:
                    continue  # Google and Azure say so, S3 does not


class BucketPart:
    """An attempt. Only what was put as a piece counts; closing needs nothing."""

    def __init__(self, bucket: Bucket, key: str, *, attempt: str, offset: int) -> None:
        self.offset = offset
        self._bucket = bucket
        self._key = key
        self._attempt = attempt

    async def write(self, data: bytes) -> None:
        await self._bucket.create_piece(f"{self._place}/{self.offset:015d}", data)
        self.offset += len(data)

    async def keep(self) -> None:
        """A piece that was put is kept."""

    async def finish(self, promise: Promise) -> Found:
        attempts = await self._bucket.pieces(self._key)
        sizes = attempts.get(self._attempt, [])
        if max(attempts, default=self._attempt) != self._attempt or sum(sizes) != self.offset:
            raise _overtaken()
        paths = [f"{self._place}/{sum(sizes[:at]):015d}" for at in range(len(sizes))]
        try:
            found = await self._bucket.join(self._key, paths, promise)
        except Problem as problem:
            if problem.code.code == "media_mismatch":
                await self._bucket.forget_pieces(self._key)
            raise
        await self._bucket.forget_pieces(self._key)
        return found

    async def discard(self) -> None:
        await self._bucket.forget_pieces(self._key)

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def _place(self) -> str:
        return f"parts/{_checked(self._key)}/{self._attempt}"


def _overtaken() -> Problem:
    return Problem("state_conflict", "Another request went on with this upload; ask where it stands.")


@contextmanager
def _reached() -> Iterator[None]:
    """obstore has tried again by itself before it raises."""
    try:
        yield
    except BaseError as error:
        raise _away() from error


@contextmanager
def _written() -> Iterator[None]:
    try:
        with _reached():
            yield
    except FileNotFoundError as error:  # there is no such bucket
        raise _away() from error


def _away() -> Problem:
    return Problem("unavailable", "The media store cannot be reached.")


def _file(key: str) -> str:
    return f"files/{_checked(key)}"


def _incoming(key: str) -> str:
    return f"incoming/{_checked(key)}"


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"not a key of ours: {key!r}")
    return key
