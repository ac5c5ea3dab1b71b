"""The thinnest honest sync server: a ceiling to hold Homing's figures against, not a model.

Raw ASGI, msgspec and asyncpg; one statement a batch, JSON text stored as it came and passed through as it is. It has
a conflict check (the position an edit was based on must be the row's), a feed below the snapshot horizon, and a NOTIFY
a batch with one listener a node. It has no accounts, scopes, validation, idempotency, history, departures or merging;
and its feed stalls while any transaction stays open, which is how it gets away with a position instead of a snapshot.

Rewritten from the reference server the project was given; its two statements are the same, except that the scope is a
parameter.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id uuid PRIMARY KEY, scope text NOT NULL, pos bigint NOT NULL, deleted boolean NOT NULL DEFAULT false,
    doc text NOT NULL
);
CREATE INDEX IF NOT EXISTS items_scope_pos ON items (scope, pos, id);
"""
PUSH = """
WITH x AS (SELECT pg_current_xact_id()::text::bigint AS p), u AS (
    INSERT INTO items AS t (id, scope, pos, doc)
    SELECT i, $4, x.p, d FROM unnest($1::uuid[], $3::text[]) WITH ORDINALITY AS q (i, d, o), x
    ON CONFLICT (id) DO UPDATE SET pos = excluded.pos, doc = excluded.doc WHERE t.pos = ANY ($2::bigint[])
    RETURNING id)
SELECT id, (SELECT p FROM x), pg_notify('chg', $4) FROM u
"""
PULL = """
SELECT pos, id, doc FROM items
WHERE scope = $4 AND (pos, id) > ($1, $2) AND pos < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY pos, id LIMIT $3
"""
FIRST = uuid.UUID(int=0)


class Item(msgspec.Struct):
    id: uuid.UUID
    title: str
    status: str
    quantity: int
    notes: str
    updated_at: datetime
    base: int = 0


class Push(msgspec.Struct):
    items: list[Item]


class Result(msgspec.Struct):
    id: uuid.UUID
    ok: bool


class Answer(msgspec.Struct):
    results: list[Result]
    pos: int


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
decoder, encoder = msgspec.json.Decoder(Push), msgspec.json.Encoder()


class Thin:
    """The ASGI application; holds its pool and its listener, opened at start."""

    pool: asyncpg.Pool
    listener: asyncpg.Connection

    async def start(self) -> None:
        url = os.environ["THIN_DATABASE_URL"]
        self.pool = await asyncpg.create_pool(url, min_size=4, max_size=10)
        await self.pool.execute(SCHEMA)
        self.listener = await asyncpg.connect(url)
        self.sockets: set[Send] = set()
        await self.listener.add_listener("chg", self._hint)

    def _hint(self, *heard: Any) -> None:
        asyncio.get_running_loop().create_task(self._tell(f'{{"scope":"{heard[3]}"}}'))

    async def _tell(self, text: str) -> None:
        for send in list(self.sockets):
            try:
                await send({"type": "websocket.send", "text": text})
            except Exception:
                self.sockets.discard(send)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await self._listen(receive, send)
            return
        query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
        if scope["method"] == "POST":
            answer = await self._push(query["scope"], await _body(receive))
        else:
            answer = await self._pull(query)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _listen(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.sockets.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self.sockets.discard(send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _push(self, scope: str, body: bytes) -> bytes:
        items = sorted(decoder.decode(body).items, key=lambda item: item.id)  # one lock order for concurrent batches
        documents = [encoder.encode(item).decode() for item in items]
        bases = list({item.base for item in items})
        written = await self.pool.fetch(PUSH, [item.id for item in items], bases, documents, scope)
        applied = {row[0] for row in written}
        results = [Result(item.id, item.id in applied) for item in items]
        return encoder.encode(Answer(results, written[0][1] if written else 0))

    async def _pull(self, query: dict[str, str]) -> bytes:
        limit = int(query.get("limit", "1000"))
        after = uuid.UUID(query["id"]) if "id" in query else FIRST
        found = await self.pool.fetch(PULL, int(query.get("pos", "0")), after, limit, query["scope"])
        following = f"{found[-1][0]},{found[-1][1]}" if found else ""
        more = "true" if len(found) == limit else "false"
        documents = ",".join([row[2] for row in found])
        return f'{{"next":"{following}","more":{more},"items":[{documents}]}}'.encode()


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


app = Thin()
