"""What tests of enrolment say to the server, and ask it."""

from typing import Any
from uuid import uuid4

import httpx
import psycopg

from homing.settings import Settings
from tests.fixtures.accounts import Person
from tests.fixtures.server import Server

ENROLLMENTS = "/api/v1/enrollments"
GONE = {
    "type": "/docs/errors#enrollment_gone",
    "title": "The enrolment token does not work",
    "status": 410,
    "detail": "Unknown, used, expired or cancelled: one answer for all. The office makes a new one.",
    "code": "enrollment_gone",
    "action": "stop",
}


def made(owner: Person, **wanted: Any) -> dict[str, Any]:
    answer = owner.http.post(ENROLLMENTS, json=wanted)
    assert answer.status_code == 201, answer.text
    token: dict[str, Any] = answer.json()
    return token


def details(server: Server, token: str, **query: str) -> httpx.Response:
    return httpx.get(f"{server.url}{ENROLLMENTS}/{token}", params=query, timeout=30)


def complete(server: Server, token: str, **body: Any) -> httpx.Response:
    name = f"u-{uuid4().hex[:8]}"
    body = {"device_id": f"{name}s-phone", "username": name} | body
    return httpx.post(f"{server.url}{ENROLLMENTS}/{token}/complete", json=body, timeout=30)


def rows(settings: Settings, query: str, *params: Any) -> list[tuple[Any, ...]]:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        cursor = conn.execute(query, params)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def state(owner: Person, token: dict[str, Any]) -> str:
    answer = owner.http.get(ENROLLMENTS, params={"limit": 500, "created_by": owner.id})
    return next(item["state"] for item in answer.json()["items"] if item["id"] == token["id"])


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def other_secret(token: dict[str, Any]) -> str:
    return "0" * 28 if token["secret"] != "0" * 28 else "7" + "Z" * 25 + "M5"
