"""Kinto, the nearest established server of its kind in Python: installed in a virtual environment of its own, run
under uwsgi with a process for each processor, with its tables in the same PostgreSQL.

A batch there is a list of requests, each a PUT that must not overwrite; a pull is a sorted collection with a
``_since``. Kinto sometimes answers an item with 409 and asks for it again; the client does so within the timed push.
"""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.cluster import Cluster
from bench.contenders import Page
from bench.rows import GENERATED, Row
from bench.server import ROOT, free_port, running
from bench.wire import Connection

DATABASE = "bench_kinto"
COLLECTION = "/buckets/bench/collections/items"
FILL = f"""
INSERT INTO objects (id, parent_id, resource_name, last_modified, data, deleted)
SELECT id::text, '{COLLECTION}', 'record',
       -- of last month, and 7 ms apart: Kinto wants distinct milliseconds, and its trigger gives up on so many at once
       date_trunc('day', now())::timestamp - interval '30 days' + (%(start)s + row_number() OVER ()) * interval '7 ms',
       to_jsonb(r) - 'id', false
FROM ({GENERATED}) AS r
"""
GRANT = f"""
INSERT INTO access_control_entries (object_id, permission, principal)
SELECT '{COLLECTION}/records/' || o.id, 'write', a.principal
FROM objects o, (SELECT principal FROM access_control_entries
                 WHERE object_id = '/buckets/bench' AND permission = 'write' LIMIT 1) a
WHERE o.parent_id = '{COLLECTION}' AND o.resource_name = 'record'
ON CONFLICT DO NOTHING
"""


class _Response(msgspec.Struct):
    status: int


class _Batch(msgspec.Struct):
    responses: list[_Response]


class _Records(msgspec.Struct):
    data: list[msgspec.Raw]


batch_decoder, records_decoder = msgspec.json.Decoder(_Batch), msgspec.json.Decoder(_Records)


class KintoClient:
    def __init__(self, port: int) -> None:
        authorization = "Basic " + base64.b64encode(b"bench:bench").decode()
        self._connection = Connection(port, {"Authorization": authorization})
        self._batch = self._connection.head("POST", "/v1/batch")

    def encode(self, rows: Sequence[Row]) -> bytes:
        requests = [
            {
                "path": f"{COLLECTION}/records/{row.id}",
                "headers": {"If-None-Match": "*"},
                "body": {"data": _data(row)},
            }
            for row in rows
        ]
        return msgspec.json.encode({"defaults": {"method": "PUT"}, "requests": requests})

    def push(self, body: bytes, items: int) -> None:
        answer = self._connection.send(self._batch, body)
        assert answer.status == 200, answer
        statuses = [response.status for response in batch_decoder.decode(answer.body).responses]
        assert set(statuses) <= {201, 409}, answer.body[:500]
        again = [number for number, status in enumerate(statuses) if status == 409]
        if again:
            whole: dict[str, Any] = msgspec.json.decode(body)
            whole["requests"] = [whole["requests"][number] for number in again]
            self.push(msgspec.json.encode(whole), len(again))
        assert len(statuses) == items, answer.body[:500]

    def write(self, row: Row) -> None:
        answer = self.request("PUT", f"{COLLECTION}/records/{row.id}", {"data": _data(row)})
        assert answer == 201, answer

    def page(self, token: str | None, limit: int) -> Page:
        """A token is the path of the next page, or the timestamp everything up to which is here."""
        path = (
            token if token and token.startswith("/") else f"/v1{COLLECTION}/records?_sort=last_modified&_limit={limit}"
        )
        if token and not token.startswith("/"):
            path += f"&_since={token}"
        answer = self._connection.request("GET", path)
        assert answer.status == 200, answer
        changes = len(records_decoder.decode(answer.body).data)
        following = answer.headers.get("next-page")
        if following:
            return Page(following[following.index("/v1/") :], changes, True, answer.body)
        return Page(answer.headers["etag"].strip('"'), changes, False, answer.body)

    def changes(self, body: bytes) -> list[tuple[str, int | None]]:
        found = msgspec.json.decode(body)["data"]
        return [(each["id"], None if each.get("deleted") else each["last_modified"]) for each in found]

    def request(self, method: str, path: str, body: Mapping[str, Any]) -> int:
        return self._connection.request(method, "/v1" + path, msgspec.json.encode(body)).status

    def close(self) -> None:
        self._connection.close()


def _data(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("title", "status", "quantity", "notes", "updated_at")}


class Kinto:
    name = "kinto"
    share = 0.03

    def __init__(self, cluster: Cluster, *, pid: int, port: int) -> None:
        self.pid = pid
        self._cluster = cluster
        self._port = port
        client = self.client(0)
        for path in ("/buckets/bench", COLLECTION):
            assert client.request("PUT", path, {"data": {}}) in (200, 201), path
        client.close()

    def client(self, number: int) -> KintoClient:  # noqa: ARG002 - it knows no devices
        return KintoClient(self._port)

    def fill(self, rows: int) -> None:
        start = self.count()
        if rows > start:
            trigger = "ALTER TABLE objects {} TRIGGER tgr_objects_last_modified"
            self._cluster.run(DATABASE, trigger.format("DISABLE"))
            self._cluster.run(DATABASE, FILL, {"rows": rows - start, "start": start})
            self._cluster.run(DATABASE, trigger.format("ENABLE"))
            self._cluster.run(DATABASE, GRANT)
            self._cluster.run(DATABASE, "VACUUM ANALYZE objects")

    def count(self) -> int:
        query = f"SELECT count(*) FROM objects WHERE parent_id = '{COLLECTION}' AND resource_name = 'record'"
        return int(self._cluster.run(DATABASE, query)[0][0])


@contextmanager
def kinto(cluster: Cluster, environment: Path) -> Iterator[Kinto]:
    """``environment``: the virtual environment. Raises SystemExit where something is missing in it."""
    programs = environment / "bin"
    for needed in ("kinto", "uwsgi"):
        if not (programs / needed).exists():
            raise SystemExit(f"no {needed} in {environment}: pip install 'kinto[postgresql]' uwsgi")
    url, port = cluster.create(DATABASE), free_port()
    with tempfile.TemporaryDirectory(prefix="homing-bench-kinto-") as folder:
        ini = Path(folder) / "kinto.ini"
        # SQLAlchemy interpolates percent signs in its own way, and Pyramid in another.
        ini.write_text((Path(__file__).parent / "kinto.ini").read_text().replace("@URL@", url.replace("%", "%%")))
        subprocess.run([programs / "kinto", "migrate", "--ini", ini], check=True, capture_output=True)
        command = [
            str(programs / "uwsgi"),
            "--http",
            f"127.0.0.1:{port}",
            "--http-keepalive",
            "--master",
            "--die-on-term",
        ]
        command += ["--wsgi-file", "bench/servers/kinto_wsgi.py", "--virtualenv", str(environment), "--disable-logging"]
        command += ["--processes", str(os.cpu_count() or 1), "--buffer-size", "65535", "--lazy-apps"]
        environ = {"KINTO_INI": str(ini), "PYTHONPATH": str(ROOT)}
        with running(command, port=port, environ=environ, name="Kinto") as server:
            yield Kinto(cluster, pid=server.pid, port=server.port)
