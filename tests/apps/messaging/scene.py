"""What most tests of messaging begin with: sending, pushing, pulling and acking, through HTTP."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import psycopg

from tests.apps.fieldwork.scene import ok, problem
from tests.fixtures.accounts import Person

__all__ = ["ack", "enrolled", "inbox", "ok", "one", "order_of", "problem", "pull", "push", "push_message", "send"]


def send(sender: Person, recipient: Person, content: str = "Hello") -> dict[str, Any]:
    """A message sent from the web, as its sender sees it."""
    body = {"recipient_id": recipient.id, "content": content}
    found: dict[str, Any] = ok(sender.http.post("/api/v1/messages", json=body), 201)
    return found


def push(person: Person, *items: dict[str, Any], **envelope: Any) -> list[dict[str, Any]]:
    """Push items from the person's device; the results."""
    body = {"items": list(items), **envelope}
    found: list[dict[str, Any]] = ok(person.http.post("/api/v1/mobile/sync/push", json=body))["results"]
    return found


def push_message(number: int, recipient: str, content: str, **more: Any) -> dict[str, Any]:
    """An item that sends a message."""
    return {
        "client_temp_id": f"m-{number}",
        "resource_type": "message",
        "action": "create",
        "client_version": 1,
        "payload": {"recipient_id": recipient, "content": content},
        **more,
    }


def pull(person: Person, since: str | None = None, **more: Any) -> tuple[list[dict[str, Any]], str]:
    """Everything new, and the token that is complete."""
    changes: list[dict[str, Any]] = []
    while True:
        page = ok(person.http.post("/api/v1/mobile/sync/pull", json={"since_token": since, **more}))
        changes += page["changes"]
        since = page["next_token"]
        if not page["has_more"]:
            assert since is not None
            return changes, since


def ack(person: Person, token: str, **more: Any) -> int:
    """How many changes were acknowledged as synced."""
    return int(ok(person.http.post("/api/v1/mobile/sync/ack", json={"ack_token": token, **more}))["synced"])


def inbox(person: Person, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(person.http.get("/api/v1/messages", params=params))["items"]
    return found


def one(person: Person, message: dict[str, Any] | str) -> dict[str, Any]:
    """A message as this person sees it now."""
    message_id = message if isinstance(message, str) else message["id"]
    found: dict[str, Any] = ok(person.http.get(f"/api/v1/messages/{message_id}"))
    return found


def order_of(messages: list[dict[str, Any]]) -> list[str]:
    """Contents by the time the server gave each, which no two messages of a sender share."""
    ordered = sorted(messages, key=lambda message: message["created_at"])
    for sender in {message["sender_id"] for message in ordered}:
        times = [message["created_at"] for message in ordered if message["sender_id"] == sender]
        assert all(earlier < later for earlier, later in pairwise(times))
    return [message["content"] for message in ordered]


def enrolled(url: str, person: Person) -> Person:
    """The person as somebody of the field: what enrolment makes of a user."""
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE homing.users SET user_type = 'mobile' WHERE id = %s", [person.id])
    return person
