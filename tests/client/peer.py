"""A peer that speaks the protocol: one small server in memory, for driving flows without a network.

It keeps the promises a client relies on (stored verdicts, temp ids, merging field by field, pages, tokens, digests) in
the plainest way, as a plain function from request to response. It copies deeply, so that a test can stop time, and it
counts the effects of every item, so that a test can see one that happened twice.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from homing.client.exchange import Answer, FilePart, Flow, Progress, Request, Response, T, Unreachable, Wait
from homing.protocol.errors import CATALOGUE, Problem
from homing.protocol.limits import Limits

JSON = {"content-type": "application/json"}
BOTH = ["create", "update"]


def column(name: str, kind: str, *, writable: Iterable[str] = BOTH, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "writable": list(writable), **more}


SITE = {
    "name": "sites",
    "resource_type": "site",
    "app": "fieldwork",
    "key": "id",
    "columns": [
        column("id", "uuid", writable=["create"]),
        column("name", "text"),
        column("note", "text"),
        column("count", "integer"),
        column("area", "number"),
        column("data", "json"),
        column("open", "boolean"),
        column("author", "text", writable=[]),
    ],
    "extra": ["media"],
}
VISIT = {
    "name": "visits",
    "resource_type": "visit",
    "app": "fieldwork",
    "key": "id",
    "columns": [
        column("id", "uuid", writable=["create"]),
        column("site_id", "uuid", references={"resource_type": "site", "column": "id"}),
        column("previous_id", "uuid", references={"resource_type": "visit", "column": "id"}),
        column("at", "timestamp"),
        column("text", "text"),
    ],
}


@dataclass
class Row:
    version: int
    payload: dict[str, Any] | None
    changed: int
    history: list[tuple[int, str, frozenset[str]]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return json.dumps(self.payload)


@dataclass
class Upload:
    size: int
    sha256: str
    data: bytes = b""
    complete: bool = False


class Peer:
    def __init__(self, *, page: int = 1000, limits: Limits | None = None) -> None:
        self.tables = [copy.deepcopy(SITE), copy.deepcopy(VISIT)]
        self.schema_version = 1
        self.limits = limits or Limits()
        self.page = page
        self.rows: dict[tuple[str, str], Row] = {}
        self.hidden: dict[tuple[str, str], int] = {}
        self.head = 0
        self.epoch = 1
        self.floor = 0
        self.verdicts: dict[tuple[str, str, str, int], tuple[dict[str, Any], dict[str, Any]]] = {}
        self.temp_ids: dict[tuple[str, str], str] = {}
        self.batches: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.effects: Counter[tuple[str, str]] = Counter()
        self.access = 1
        self.refresh = 1
        self.devices: set[str] = {"any"}
        self.uploads: dict[str, Upload] = {}
        self.keys = 0
        self.acked: list[str] = []
        self.held: set[str] = set()
        self.refuse: dict[str, str] = {}  # text of a payload -> code of the verdict
        self.answer_with: str | None = None
        self.user = "user-1"
        self.calls: list[str] = []

    # The office's side.

    def write(self, table: str, row_id: str, **fields: Any) -> None:
        """Somebody else creates or changes a row."""
        self._put(table, row_id, fields, device="office")

    def remove(self, table: str, row_id: str) -> None:
        self.head += 1
        row = self.rows[table, row_id]
        row.payload, row.changed, row.version = None, self.head, row.version + 1

    def hide(self, table: str, row_id: str) -> None:
        """The row leaves the user's scope."""
        self.head += 1
        self.hidden[table, row_id] = self.head

    def unhide(self, table: str, row_id: str) -> None:
        self.head += 1
        del self.hidden[table, row_id]
        self.rows[table, row_id].changed = self.head

    def restore(self, earlier: Peer) -> None:
        """The server comes back from a backup: another epoch."""
        kept = copy.deepcopy(earlier.__dict__)
        epoch = self.epoch + 1
        self.__dict__.update(kept)
        self.epoch = epoch
        self.answer_with = None

    def visible(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What the user may see: what a complete replica equals."""
        return {
            key: row.payload for key, row in self.rows.items() if row.payload is not None and key not in self.hidden
        }

    # The wire.

    def __call__(self, request: Request) -> Response:
        path = request.target.removeprefix("/api/v1")
        self.calls.append(f"{request.method} {path}")
        if isinstance(request.body, FilePart):
            with request.body.path.open("rb") as file:
                file.seek(request.body.offset)
                return self._upload(request, file.read())
        if path.startswith("http://store/"):
            return self._upload(request, b"")
        data = request.body or b""
        if request.headers.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        body = json.loads(data) if data else {}
        try:
            if self.answer_with is not None and not path.startswith("/auth"):
                raise Problem(self.answer_with)
            return Response(200, JSON, json.dumps(self._route(request, path, body)).encode())
        except Problem as problem:
            headers = {"content-type": "application/problem+json"}
            if problem.retry_after is not None:
                headers["retry-after"] = str(problem.retry_after)
            return Response(problem.code.status or 422, headers, json.dumps(problem.document()).encode())

    def _route(self, request: Request, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/auth/login":
                return self._tokens()
            case "/auth/refresh":
                if body["refresh_token"] not in (f"refresh-{self.refresh}", f"refresh-{self.refresh - 1}"):
                    raise Problem("invalid_refresh_token")
                if body["refresh_token"] == f"refresh-{self.refresh}":
                    self.refresh += 1
                return self._tokens()
        if request.headers.get("authorization") != f"Bearer access-{self.access}":
            raise Problem("unauthenticated")
        if path == "/mobile/devices":
            self.devices.add(body["device_id"])
            return {"device_id": body["device_id"]}
        if "any" not in self.devices and not self.devices:
            raise Problem("device_unknown")
        match path:
            case "/mobile/schema":
                return {"schema_version": self.schema_version, "tables": self.tables}
            case "/capabilities":
                return {"limits": {name: getattr(self.limits, name) for name in Limits.__struct_fields__}}
            case "/mobile/sync/push":
                return self._push(body)
            case "/mobile/sync/pull":
                return self._pull(body)
            case "/mobile/sync/ack":
                self.acked.append(body["ack_token"])
                return {"acked_at": "2026-01-01T00:00:00Z", "synced": 0}
            case "/mobile/sync/verify":
                return self._verify(body)
            case "/mobile/media/presign":
                return self._presign(body)
            case "/auth/logout" | "/mobile/sync/status":
                return {}
        raise Problem("not_found", path)

    def _tokens(self) -> dict[str, Any]:
        return {
            "access_token": f"access-{self.access}",
            "refresh_token": f"refresh-{self.refresh}",
            "user": {"id": self.user},
        }

    # Push.

    def _push(self, body: dict[str, Any]) -> dict[str, Any]:
        if len(body["items"]) > self.limits.batch_items_max:
            raise Problem("too_many_items")
        if any("poison" in json.dumps(item) for item in body["items"]):
            raise Problem("too_deep")
        token = body["batch_token"]
        if token in self.batches:
            items, answer = self.batches[token]
            if items != body["items"]:
                raise Problem("reused_with_other_body")
            if token not in self.held and any(r.get("code") == "held_for_review" for r in answer["results"]):
                del self.batches[token]  # the office let it pass
            else:
                return answer
        before = copy.deepcopy((self.rows, self.verdicts, self.temp_ids, self.effects, self.head))
        results = []
        for index, item in enumerate(body["items"]):
            result = {"index": index, "client_temp_id": item["client_temp_id"], **self._item(body["device_id"], item)}
            results.append(result)
        if body["atomic"] and any(result["status"] != "ok" for result in results):
            self.rows, self.verdicts, self.temp_ids, self.effects, self.head = before
            results = [
                result
                if result["status"] == "error"
                else {"index": result["index"], "status": "error", "code": "group_aborted", "error": "another failed"}
                for result in results
            ]
        answer = {"batch_id": "b", "batch_token": token, "server_sync_token": f"tok-{self.epoch}-{self.head}",
                  "processed_at": "2026-01-01T00:00:00Z", "results": results}  # fmt: skip
        self.batches[token] = (body["items"], answer)
        return answer

    def _item(self, device: str, item: dict[str, Any]) -> dict[str, Any]:
        key = (device, item["client_temp_id"], item["action"], item["client_version"])
        if key in self.verdicts:
            sent, verdict = self.verdicts[key]
            if sent != item["payload"]:
                return error("reused_with_other_body")
            return verdict
        if self.held:
            return error("held_for_review")
        verdict = self._judge(device, item)
        if verdict["status"] != "error":
            self.verdicts[key] = (item["payload"], verdict)
        return verdict

    def _judge(self, device: str, item: dict[str, Any]) -> dict[str, Any]:
        for text, code in self.refuse.items():
            if text in json.dumps(item["payload"]):
                return error(code)
        table = next((t for t in self.tables if t["resource_type"] == item["resource_type"]), None)
        if table is None:
            return error("unknown_table")
        names = {c["name"] for c in table["columns"]} | set(table.get("extra", ()))
        payload = dict(item["payload"])
        if payload.keys() - names:
            return error("unknown_column")
        row_id = payload.pop("id", None)
        row_id = self.temp_ids.get((device, row_id), row_id)
        for reference in (c for c in table["columns"] if "references" in c):
            value = payload.get(reference["name"])
            if value is None:
                continue
            payload[reference["name"]] = value = self.temp_ids.get((device, value), value)
            target = self.rows.get((reference["references"]["resource_type"], value))
            if target is None or target.payload is None:
                return error("dependency_failed" if value.startswith("tmp-") else "fk_missing")
        for upload in payload.pop("media", []):
            if not self.uploads.get(upload["key"], Upload(0, "")).complete:
                return error("media_missing")
            payload.setdefault("data", {"files": []})
            payload["data"]["files"] = [*payload["data"].get("files", []), upload["filename"]]
        if item["action"] == "create":
            row_id = row_id or f"srv-{len(self.rows) + 1:04d}-e{self.epoch}"
            if (item["resource_type"], row_id) in self.rows:
                return {"status": "conflict", "server_id": row_id, "server_version": 1, "code": "exists",
                        "error": "exists", "conflict_id": "c"}  # fmt: skip
            self.temp_ids[device, item["client_temp_id"]] = row_id
            self.effects[item["client_temp_id"], "create"] += 1
            self._put(item["resource_type"], row_id, payload, device=device)
            return {"status": "ok", "server_id": row_id, "server_version": 1}
        row = self.rows.get((item["resource_type"], row_id or ""))
        if row is None or (item["resource_type"], row_id) in self.hidden:
            return error("not_found")
        if row.payload is None:
            if item["action"] == "delete":
                return {"status": "ok", "server_id": row_id, "server_version": row.version}
            return {"status": "conflict", "server_id": row_id, "server_version": row.version, "code": "deleted",
                    "error": "gone", "conflict_id": "c"}  # fmt: skip
        if item["client_version"] > row.version:
            return {"status": "conflict", "server_id": row_id, "server_version": row.version, "code": "stale_epoch",
                    "error": "from the future"}  # fmt: skip
        theirs = [fields for version, who, fields in row.history if version > item["client_version"] and who != device]
        if any(fields & payload.keys() for fields in theirs) or (item["action"] == "delete" and theirs):
            return {"status": "conflict", "server_id": row_id, "server_version": row.version,
                    "code": "version_conflict", "error": "both changed it", "conflict_id": f"c-{row_id}",
                    "server_payload": row.payload}  # fmt: skip
        self.effects[item["client_temp_id"], item["action"]] += 1
        if item["action"] == "delete":
            self.remove(item["resource_type"], row_id)
        else:
            self._put(item["resource_type"], row_id, payload, device=device)
        verdict = {"status": "ok", "server_id": row_id, "server_version": row.version}
        return {**verdict, "merged": True} if theirs else verdict

    def _put(self, table: str, row_id: str, fields: dict[str, Any], *, device: str) -> None:
        self.head += 1
        row = self.rows.get((table, row_id))
        if row is None or row.payload is None:
            described = next((t for t in self.tables if t["resource_type"] == table), {"columns": []})
            empty = {c["name"]: None for c in described["columns"]}
            version = 1 if row is None else row.version + 1
            self.rows[table, row_id] = Row(version, {**empty, "id": row_id, **fields}, self.head)
            return
        row.version += 1
        row.changed = self.head
        row.payload = {**(row.payload or {}), **fields}
        row.history.append((row.version, device, frozenset(fields)))

    # Pull.

    def _pull(self, body: dict[str, Any]) -> dict[str, Any]:
        given = body.get("since_token")
        since, place, until = 0, 0, self.head
        if given is not None:
            parts = given.split("-")
            if parts[0] != "tok":
                raise Problem("invalid_token")
            if int(parts[1]) != self.epoch:
                raise Problem("resync_required", reason="epoch")
            since = int(parts[2])
            if 0 < since < self.floor:
                raise Problem("resync_required", reason="too_old")
            place, until = (int(parts[3]), int(parts[4])) if len(parts) > 3 else (since, self.head)
        moments = []
        for key, row in self.rows.items():
            if body.get("tables") and key[0] not in body["tables"]:
                continue
            at = max(row.changed, self.hidden.get(key, 0))
            if place < at <= until:
                moments.append((at, key, row))
        moments.sort(key=lambda moment: moment[0])
        limit = min(self.page, body.get("limit") or self.page)
        changes = []
        for _, (table, row_id), row in moments[:limit]:
            change = {"id": row_id, "resource_type": table, "server_version": row.version}
            if row.payload is None or (table, row_id) in self.hidden:
                reason = "deleted" if row.payload is None else "out_of_scope"
                if since or place:
                    changes.append({**change, "action": "delete", "payload": {}, "reason": reason})
            else:
                changes.append({**change, "action": "create", "payload": row.payload})
        if len(moments) > limit:
            token = f"tok-{self.epoch}-{since}-{moments[limit - 1][0]}-{until}"
            return self._page(token, changes, has_more=True)
        token = f"tok-{self.epoch}-{until}"
        return self._page(given if not changes and given and since == until else token, changes, until != self.head)

    def _page(self, token: str, changes: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
        return {"next_token": token, "changes": changes, "has_more": has_more, "server_time": "2026-01-01T00:00:00Z"}

    def _verify(self, body: dict[str, Any]) -> dict[str, Any]:
        digests: dict[str, Any] = {}
        for name in body["digests"]:
            rows = [(k, r) for k, r in self.rows.items() if k[0] == name and k in self.visible()]
            total = sum(
                int(hashlib.md5(f"{key[1]}:{row.version}:{row.text}".encode()).hexdigest()[:15], 16)
                for key, row in rows
            )
            digests[name] = {"count": len(rows), "hash": str(total)}
        differ = [name for name in digests if digests[name] != body["digests"][name]]
        current = body["token"] == f"tok-{self.epoch}-{self.head}"
        return {"equal": not differ, "current": current, "differ": differ, "digests": digests}

    # Media.

    def _presign(self, body: dict[str, Any]) -> dict[str, Any]:
        key = body.get("key")
        if key is None:
            if body["filename"].endswith(".exe"):
                raise Problem("too_large", "no programs")
            self.keys += 1
            key = f"key-{self.keys}"
            self.uploads[key] = Upload(body["size_bytes"], body["sha256"])
        elif key not in self.uploads:
            raise Problem("not_found")
        elif self.uploads[key].complete:
            raise Problem("state_conflict")
        return {
            "upload_url": f"http://store/{key}",
            "method": "PUT",
            "headers": {"Content-Type": "image/jpeg"},
            "key": key,
            "expires_in": 300,
            "resumable": bool(body.get("resumable")),
        }

    def _upload(self, request: Request, data: bytes) -> Response:
        upload = self.uploads.get(request.target.removeprefix("http://store/"))
        if upload is None:
            return Response(404, {}, b"")
        if request.method == "HEAD":
            return Response(204, {"upload-offset": str(len(upload.data))}, b"")
        if request.method == "PUT":
            upload.data = data
        else:
            assert int(request.headers["upload-offset"]) == len(upload.data)
            upload.data += data
        upload.complete = hashlib.sha256(upload.data).hexdigest() == upload.sha256
        return Response(200 if upload.complete else 422, {}, b"")


def error(code: str) -> dict[str, Any]:
    return {"status": "error", "code": code, "error": CATALOGUE[code].title}


Line = Callable[[Request], Answer]


def drive(steps: Flow[T], line: Line, *, waits: list[Wait] | None = None, told: list[Progress] | None = None) -> T:
    """Run a flow against ``line`` without any time passing; its waits and progress go into the lists."""
    answer: Answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value
        answer = None
        match step:
            case Request():
                answer = line(step)
            case Wait():
                (waits if waits is not None else []).append(step)
            case Progress():
                (told if told is not None else []).append(step)


def cut(reason: str = "cut") -> Unreachable:
    return Unreachable(reason)
