"""The thin server (``bench/servers/thin.py``) and its client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from bench.cluster import Cluster
from bench.contenders import Page
from bench.rows import GENERATED, Row
from bench.server import free_port, running, uvicorn
from bench.wire import Connection

DATABASE = "bench_thin"
SCOPE = "team:1"
COUNT = f"SELECT count(*) FROM items WHERE scope = '{SCOPE}'"
ROWS = f"SELECT id::text FROM items WHERE scope = '{SCOPE}'"
FILL = f"""
INSERT INTO items (id, scope, pos, doc)
SELECT r.id, '{SCOPE}', pg_current_xact_id()::text::bigint, row_to_json(r)::text FROM ({GENERATED}) AS r
"""
INSERT = f"""
INSERT INTO items (id, scope, pos, doc)
VALUES (%(id)s, '{SCOPE}', pg_current_xact_id()::text::bigint, %(doc)s)
"""


class _Pulled(msgspec.Struct):
    next: str
    more: bool
    items: list[msgspec.Raw]


class _Id(msgspec.Struct):
    id: str


class _Ids(msgspec.Struct):
    items: list[_Id]


decoder, ids_decoder = msgspec.json.Decoder(_Pulled), msgspec.json.Decoder(_Ids)


class ThinClient:
    def __init__(self, port: int) -> None:
        self._connection = Connection(port)
        self._push = self._connection.head("POST", f"/push?scope={SCOPE}")

    def encode(self, rows: Sequence[Row]) -> bytes:
        return msgspec.json.encode({"items": rows})

    def push(self, body: bytes, items: int) -> None:
        answer = self._connection.send(self._push, body)
        assert answer.status == 200, answer
        assert answer.body.count(b'"ok":true') == items, answer.body[:500]

    def write(self, row: Row) -> None:
        self.push(self.encode([row]), 1)

    def page(self, token: str | None, limit: int) -> Page:
        place = ""
        if token:
            position, after = token.split(",")
            place = f"&pos={position}&id={after}"
        answer = self._connection.request("GET", f"/pull?scope={SCOPE}&limit={limit}{place}")
        assert answer.status == 200, answer
        page = decoder.decode(answer.body)
        return Page(page.next or token, len(page.items), page.more, answer.body)

    def changes(self, body: bytes) -> list[tuple[str, int | None]]:
        """Its rows have no version; 1 stands for being there."""
        return [(item.id, 1) for item in ids_decoder.decode(body).items]

    def close(self) -> None:
        self._connection.close()


class Thin:
    name = "thin"
    share = 1.0

    def __init__(self, cluster: Cluster, *, pid: int, port: int) -> None:
        self.pid = pid
        self.url = cluster.url(DATABASE)
        self._cluster = cluster
        self.port = self._port = port

    def client(self, number: int) -> ThinClient:  # noqa: ARG002 - it knows no devices
        return ThinClient(self._port)

    def fill(self, rows: int) -> None:
        missing = rows - self.count()
        if missing > 0:
            self._cluster.run(DATABASE, FILL, {"rows": missing})
            self._cluster.run(DATABASE, "VACUUM ANALYZE items")

    def count(self) -> int:
        return int(self._cluster.run(DATABASE, COUNT)[0][0])

    def rows(self) -> dict[str, int]:
        return dict.fromkeys((row[0] for row in self._cluster.run(DATABASE, ROWS)), 1)

    def insert(self, connection: psycopg.Connection[Any], row: Row) -> None:
        connection.execute(INSERT, {"id": row.id, "doc": msgspec.json.encode(row).decode()})


@contextmanager
def thin(cluster: Cluster) -> Iterator[Thin]:
    url, port = cluster.create(DATABASE), free_port()
    with running(_command(port), port=port, environ={"THIN_DATABASE_URL": url}, name="the thin server") as server:
        yield Thin(cluster, pid=server.pid, port=server.port)


@contextmanager
def second_thin(thin: Thin) -> Iterator[int]:
    """Another thin server on the same database; its port."""
    port, environ = free_port(), {"THIN_DATABASE_URL": thin.url}
    with running(_command(port), port=port, environ=environ, name="the second thin server"):
        yield port


def _command(port: int) -> list[str]:
    return uvicorn("bench.servers.thin:app", port)
