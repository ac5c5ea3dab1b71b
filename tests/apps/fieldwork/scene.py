"""What most tests of fieldwork begin with: a published form, two teams, a meter, and people to use them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.fixtures.accounts import Person

SCHEMA = {
    "type": "object",
    "properties": {
        "species": {"enum": ["Adelie", "Gentoo", "Chinstrap"]},
        "mass": {"type": "number", "minimum": 2000},
        "comment": {"type": "string"},
    },
    "required": ["species"],
}


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """The answer's body, which must come with ``status``."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, which must have this status and code."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


def publish_form(owner: Person, code: str = "penguins", schema: Any = None) -> dict[str, Any]:
    """A form with one published version, v1."""
    ok(owner.http.post("/api/v1/forms", json={"code": code, "name": code.title(), "schema": schema or SCHEMA}), 201)
    found: dict[str, Any] = ok(owner.http.post(f"/api/v1/forms/{code}/publish", json={}))
    return found


def make_team(owner: Person, name: str, *members: Person) -> str:
    """A team with members; its id."""
    team = ok(owner.http.post("/api/v1/teams", json={"name": name}), 201)["id"]
    for member in members:
        ok(owner.http.put(f"/api/v1/teams/{team}/members/{member.id}"))
    return str(team)


def make_meter(owner: Person, code: str = "m-123", **columns: Any) -> dict[str, Any]:
    found: dict[str, Any] = ok(owner.http.post("/api/v1/meters", json={"code": code, "reading": 50, **columns}), 201)
    return found


def push(person: Person, *items: dict[str, Any], **envelope: Any) -> list[dict[str, Any]]:
    """Push items from the person's device; the results."""
    body = {"items": list(items), **envelope}
    found: list[dict[str, Any]] = ok(person.http.post("/api/v1/mobile/sync/push", json=body))["results"]
    return found


def submission(temp_id: str, data: Any, **payload: Any) -> dict[str, Any]:
    """The item that creates a submission of the form "penguins"."""
    return {
        "client_temp_id": temp_id,
        "resource_type": "submission",
        "action": "create",
        "payload": {"form_id": "penguins", "form_version": "v1", "data": data, **payload},
        "client_version": 1,
    }


@dataclass(frozen=True)
class Pulled:
    """What a pull from nothing brought: rows by (type, id), and the token to go on from."""

    rows: dict[tuple[str, str], dict[str, Any]]
    token: str

    def of(self, resource_type: str) -> list[dict[str, Any]]:
        return [row for (kind, _), row in self.rows.items() if kind == resource_type]


def pull(person: Person, since: str | None = None) -> list[dict[str, Any]]:
    """All changes since a token."""
    changes: list[dict[str, Any]] = []
    while True:
        page = ok(person.http.post("/api/v1/mobile/sync/pull", json={"since_token": since}))
        changes += page["changes"]
        since = page["next_token"]
        if not page["has_more"]:
            return changes


def pull_all(person: Person) -> Pulled:
    """A pull from nothing."""
    page = ok(person.http.post("/api/v1/mobile/sync/pull", json={"since_token": None, "limit": 5000}))
    assert not page["has_more"]
    rows = {(change["resource_type"], change["id"]): change["payload"] for change in page["changes"]}
    return Pulled(rows, page["next_token"])


def pages(person: Person, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every item of a list, followed page by page; no page is longer than its limit."""
    items: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = ok(person.http.get(path, params={**params, **({"after": after} if after else {})}))
        assert set(page) == {"items", "next"}
        assert len(page["items"]) <= params.get("limit", 50)
        items += page["items"]
        after = page["next"]
        if after is None:
            return items


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
