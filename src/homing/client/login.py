"""Signing in, and telling the server of the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from homing.client.call import RefusalError, call, call_unsigned, decode, post
from homing.client.exchange import Flow, Progress
from homing.client.store import Session, Store

PLATFORM = "mobile"


class OtherUserError(Exception):
    """The replica holds another user's rows and edits: sign in on a replica of your own."""


class User(msgspec.Struct):
    """Of what the server says of the user, what the replica needs."""

    id: str


class SignedIn(msgspec.Struct):
    access_token: str
    refresh_token: str
    user: msgspec.Raw


def login(store: Store, *, login: str, password: str) -> Flow[dict[str, Any]]:
    """Sign in; returns the user as the server describes them. Raises RefusalError, OtherUserError."""
    yield Progress("login", 0)
    body = {"login": login, "password": password, "platform": PLATFORM, "device_id": store.state().device_id}
    request = post("/auth/login", body)
    return _keep(store, decode((yield from call_unsigned(request)), SignedIn, request))


def enroll(store: Store, *, token: str, username: str, device: Mapping[str, Any]) -> Flow[dict[str, Any]]:
    """Redeem an enrolment token, as read from a QR code: user, device and session in one step."""
    yield Progress("login", 0)
    facts = {"device_id": store.state().device_id, **device}
    request = post(f"/enrollments/{token}/complete", {"username": username, **facts})
    user = _keep(store, decode((yield from call_unsigned(request)), SignedIn, request))
    store.set_state(device=msgspec.json.encode(facts).decode())
    return user


def register_device(store: Store, device: Mapping[str, Any]) -> Flow[dict[str, Any]]:
    """Tell the server of this device, or of what changed about it. Remembered, to be told again when it asks."""
    facts = {"device_id": store.state().device_id, **device}
    request = post("/mobile/devices", facts)
    answer: dict[str, Any] = decode((yield from call(store, request)), dict[str, Any], request)
    store.set_state(device=msgspec.json.encode(facts).decode())
    return answer


def logout(store: Store) -> Flow[None]:
    """End the session. The replica and its outbox stay, for the same user to come back to."""
    if store.session() is None:
        return
    try:
        yield from call(store, post("/auth/logout", {}))
    except RefusalError as refusal:
        if refusal.status is None:
            raise  # not delivered: the session still lives over there
    store.set_session(None)


def _keep(store: Store, signed_in: SignedIn) -> dict[str, Any]:
    user_id = msgspec.json.decode(signed_in.user, type=User).id
    with store.transaction():
        owner = store.state().user_id
        if owner is not None and owner != user_id:
            raise OtherUserError(f"this replica belongs to user {owner}")
        store.set_state(user_id=user_id)
        store.set_session(Session(signed_in.access_token, signed_in.refresh_token))
    user: dict[str, Any] = msgspec.json.decode(signed_in.user)
    return user
