"""What tests of the marketplace do again and again, as a person would: by HTTP, and with real replicas."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg

from tests.fixtures.accounts import Person

API = "/api/v1"


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 201, 204), answer.text
    return answer.json() if answer.content else None


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()["code"]


def push(person: Person, *items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The results of a batch; an item is (resource_type, action, payload) and what else stands in it."""
    body = {"device_id": person.device_id, "items": list(items), **more}
    return list(ok(person.http.post(f"{API}/mobile/sync/push", json=body))["results"])


def item(resource_type: str, action: str, **payload: Any) -> dict[str, Any]:
    """An item without a base version: a create, or an update of the row as it is."""
    found: dict[str, Any] = {"resource_type": f"marketplace.{resource_type}", "action": action, "payload": payload}
    return found if action == "create" else {**found, "base": {"none": True}}


def pull(person: Person, token: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """Every change since ``token``, and the token after it."""
    changes: list[dict[str, Any]] = []
    while True:
        page = ok(person.http.post(f"{API}/mobile/sync/pull", json={"since_token": token, "limit": 500}))
        changes += page["changes"]
        token = page["next_token"]
        if not page["has_more"]:
            return changes, str(token)


def held(person: Person) -> dict[str, set[str]]:
    """Table → ids of what a device that pulls for the first time holds, without the caches' settings."""
    found: dict[str, set[str]] = {}
    for change in pull(person)[0]:
        if change["resource_type"] != "offline_cache_metadata":
            found.setdefault(change["resource_type"], set()).add(change["id"])
    return found


def query(url: str, statement: str, *params: Any) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(statement, params).fetchall()  # type: ignore[arg-type]
