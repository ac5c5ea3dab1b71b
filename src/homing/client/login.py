"""Signing in, and telling the server of the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from homing.client.call import RefusalError, call, call_unsigned, decode, get, post, prove, to_tenant
from homing.client.device_key import DeviceKey, WrongServerError, check_server, find_key, keep_key
from homing.client.exchange import Flow, Progress
from homing.client.store import Session, Store
from homing.protocol.enrolment import LINK, NotACodeError, Token, read_link, read_token
from homing.protocol.errors import Action

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


class Details(msgspec.Struct):
    """Of what the server says of a token, what must be checked."""

    token: str
    tenant: str
    fingerprint: str
    server_key: dict[str, str]
    proof: str


def login(store: Store, *, login: str, password: str) -> Flow[dict[str, Any]]:
    """Sign in; returns the user as the server describes them. Raises RefusalError, OtherUserError."""
    yield Progress("login", 0)
    body = {"login": login, "password": password, "platform": PLATFORM, "device_id": store.state().device_id}
    key = find_key(store.path)
    proof = {} if key is None else (yield from prove(store, key, "login", login))
    request = to_tenant(key, post("/auth/login", body | proof))
    return _keep(store, decode((yield from call_unsigned(request)), SignedIn, request))


def enroll(store: Store, *, token: str, username: str | None, device: Mapping[str, Any]) -> Flow[dict[str, Any]]:
    """Redeem an enrolment token: user, device, key and session in one step; the user as the server describes them.

    ``token`` is what the QR code says, a token, or a code that was typed. Called again after a lost answer it gets that
    answer. Raises RefusalError, OtherUserError, NotACodeError.
    """
    owner = store.state().user_id
    if owner is not None:  # a token makes a new user, and must not be spent in vain
        raise OtherUserError(f"this replica belongs to user {owner}")
    yield Progress("login", 0)
    invitation = read_link(token) if token.strip().startswith(LINK) else None
    given = read_token(token) if invitation is None else invitation.token
    if given.secret is None:
        raise NotACodeError("the token's secret half is missing")
    if invitation is not None:
        keep_key(store.path, fingerprint=invitation.fingerprint, tenant=invitation.tenant)
    key = find_key(store.path) or keep_key(store.path)
    facts = {"device_id": store.state().device_id, **device}
    handle, key = yield from _look(store, key, given)
    request = post(
        f"/enrollments/{handle}/complete",
        {
            "secret": given.secret,
            "username": username,
            "public_key": key.public,
            "signature": key.sign_enrolment(handle=handle, device=facts["device_id"]),
            "nonce": key.nonce(handle),
            **facts,
        },
    )
    user = _keep(store, decode((yield from call_unsigned(to_tenant(key, request))), SignedIn, request))
    store.set_state(device=msgspec.json.encode(facts).decode())
    return user


def _look(store: Store, key: DeviceKey, given: Token) -> Flow[tuple[UUID, DeviceKey]]:
    """The token's handle, and the key with the server's fingerprint in it: the QR code's, which the server must prove
    to be its own; without a QR code the server is taken at its word, this once."""
    nonce = store.new_id()
    # Only a typed code has no public half; it stands in the address because the server must find it by something.
    request = to_tenant(key, get(f"/enrollments/{given.handle or given.secret}?nonce={nonce}"))
    try:
        answer = yield from call_unsigned(request)
    except RefusalError as refusal:
        if refusal.code != "enrollment_gone" or key.handle is None or key.fingerprint is None:
            raise
        return key.handle, key  # used, perhaps by us: the answer may have been lost
    found = decode(answer, Details, request)
    fingerprint = key.fingerprint or found.fingerprint
    said = {"nonce": nonce, "token": found.token}
    try:
        check_server(found.proof, found.server_key, kind="homing-enrolment", expected=said, fingerprint=fingerprint)
    except WrongServerError as error:
        raise RefusalError(Action.STOP, "wrong_server", str(error)) from error
    handle = UUID(found.token)
    return handle, keep_key(store.path, fingerprint=fingerprint, tenant=found.tenant, handle=handle)


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
