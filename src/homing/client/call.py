"""One request until it is answered: the part of every flow that is about the line and about being signed in.

The error catalogue's ``action`` decides what happens next, never a bare status:

``retry``   waits (Retry-After, otherwise twice as long each time, with jitter) and asks again, a few times
``login``   redeems the refresh token once and asks again
``enroll``  registers the device once and asks again
others      are for the caller: ``RefusalError``

What is not from our server at all (a captive portal's page, a proxy's 502) counts as no answer.
"""

from __future__ import annotations

import gzip
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from homing.client.device_key import DeviceKey, WrongServerError, check_server, find_key
from homing.client.exchange import Answer, Flow, Request, Response, Unreachable, Wait
from homing.client.store import Session, Store
from homing.protocol.errors import Action

API = "/api/v1"
ATTEMPTS_MAX = 5
"""Times a request is sent before the flow gives up for now. With the waits below, about half a minute of bad line."""
BACKOFF_SECONDS_FIRST = 0.5
BACKOFF_SECONDS_MAX = 30.0
RETRY_AFTER_SECONDS_MAX = 300.0
"""A longer Retry-After ends the sync: the application comes back later, rather than hanging for an hour."""
COMPRESS_BYTES_MIN = 1024
"""Bodies under this are sent plain: compressed they would not fit a packet less."""
ACTIONS = {action.value: action for action in Action}
ANYWHERE = {408, 425, 429, 502, 503, 504}
"""Statuses that a proxy gives without a problem document, and that mean: later."""


class RefusalError(Exception):
    """The request was refused, or could not be delivered. ``action`` says what the client does next."""

    def __init__(
        self,
        action: Action,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.action = action
        self.code = code
        self.detail = detail
        self.status = status
        self.extra: Mapping[str, Any] = extra or {}
        super().__init__(f"{code}: {detail}")


@dataclass(frozen=True, slots=True)
class Later:
    """No answer that counts. ``seconds``: the least to wait, where the server said."""

    refusal: RefusalError
    seconds: float | None = None


class Tokens(msgspec.Struct):
    """What every way to sign in answers with."""

    access_token: str
    refresh_token: str


class Challenge(msgspec.Struct):
    challenge: str
    server_key: dict[str, str]


def get(target: str, *, headers: Mapping[str, str] | None = None) -> Request:
    return Request(method="GET", target=API + target, headers={"accept": "application/json", **(headers or {})})


def post(target: str, body: Any) -> Request:
    """A POST of JSON; ``body`` is bytes of JSON already, or anything msgspec encodes."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"accept": "application/json", "content-type": "application/json"}
    if len(data) >= COMPRESS_BYTES_MIN:
        data = gzip.compress(data, compresslevel=6, mtime=0)
        headers["content-encoding"] = "gzip"
    return Request(method="POST", target=API + target, headers=headers, body=data)


def call(store: Store, request: Request) -> Flow[Response]:
    """Send ``request`` as the signed-in user until it is answered. Raises RefusalError."""
    attempts = 0
    renewed = registered = False
    while True:
        session = store.session()
        if session is None:
            raise RefusalError(Action.LOGIN, "unauthenticated", "Nobody is signed in on this replica.")
        match read(request, (yield _signed(request, session))):
            case Response() as response:
                return response
            case Later() as later:
                attempts += 1
                yield wait(later, attempts)
            case RefusalError(action=Action.LOGIN) if not renewed:
                renewed = True
                if store.session() == session:  # otherwise somebody else has renewed it in the meantime
                    yield from renew(store, session)
            case RefusalError(action=Action.ENROLL) as refusal if not registered:
                registered = True
                yield from register_again(store, session, refusal)
            case RefusalError() as refusal:
                raise refusal


def call_unsigned(request: Request) -> Flow[Response]:
    """Send a request that carries its own proof (a password, a refresh token). Raises RefusalError."""
    attempts = 0
    while True:
        match read(request, (yield request)):
            case Response() as response:
                return response
            case Later() as later:
                attempts += 1
                yield wait(later, attempts)
            case RefusalError() as refusal:
                raise refusal


def renew(store: Store, session: Session) -> Flow[None]:
    """Redeem the refresh token. A lost answer may be asked for again: the server gives the same successor."""
    key = find_key(store.path)
    proof = {} if key is None else (yield from prove(store, key, "refresh", session.refresh_token))
    request = to_tenant(key, post("/auth/refresh", {"refresh_token": session.refresh_token, **proof}))
    response = yield from call_unsigned(request)
    tokens = decode(response, Tokens, request)
    store.set_session(Session(tokens.access_token, tokens.refresh_token))


def prove(store: Store, key: DeviceKey, purpose: str, subject: str) -> Flow[dict[str, str]]:
    """What a request of an enrolled device holds besides: the server's challenge, signed. Raises RefusalError."""
    device, nonce = store.state().device_id, store.new_id()
    asked = {"device_id": device, "nonce": nonce, "fingerprint": key.fingerprint}
    request = to_tenant(key, post("/auth/challenge", asked))
    answer = decode((yield from call_unsigned(request)), Challenge, request)
    said = {"device": device, "nonce": nonce}
    try:
        check_server(
            answer.challenge,
            answer.server_key,
            kind="homing-challenge",
            expected=said,
            fingerprint=key.fingerprint or "",
        )
    except WrongServerError as error:
        raise RefusalError(Action.STOP, "wrong_server", str(error)) from error
    signature = key.sign_session(purpose=purpose, device=device, challenge=answer.challenge, subject=subject)
    return {"challenge": answer.challenge, "signature": signature}


def to_tenant(key: DeviceKey | None, request: Request) -> Request:
    """A request without an access token, which would name the tenant, sent to the one the device was enrolled in."""
    if key is None or key.tenant is None:
        return request
    return replace(request, headers={**request.headers, "x-homing-tenant": key.tenant})


def register_again(store: Store, session: Session, refusal: RefusalError) -> Flow[None]:
    """The server does not know the device: tell it, as the application told us."""
    device = store.state().device
    if device is None:
        raise refusal
    yield from call_unsigned(_signed(post("/mobile/devices", device.encode()), session))


def read(request: Request, answer: Answer) -> Response | Later | RefusalError:
    """What an answer means."""
    if not isinstance(answer, Response):
        reason = answer.reason if isinstance(answer, Unreachable) else "no answer"
        return Later(RefusalError(Action.RETRY, "unreachable", reason))
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if content_type == "application/problem+json" and (refusal := _problem(answer)) is not None:
        return Later(refusal, _retry_after(answer)) if refusal.action is Action.RETRY else refusal
    if 200 <= answer.status < 300:
        foreign = answer.body and content_type != "application/json" and request.headers.get("accept")
        return Later(_not_ours(request, answer)) if foreign else answer
    if answer.status in ANYWHERE or 300 <= answer.status < 400:
        return Later(_not_ours(request, answer), _retry_after(answer))
    return _not_ours(request, answer, Action.STOP)


def wait(later: Later, attempts: int) -> Wait:
    """How long to wait before the next attempt. Raises the refusal when it is time to give up for now."""
    if attempts >= ATTEMPTS_MAX or (later.seconds or 0) > RETRY_AFTER_SECONDS_MAX:
        raise later.refusal
    window = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2.0 ** (attempts - 1))
    return Wait(later.seconds or 0.0, window)


def decode(response: Response, kind: Any, request: Request) -> Any:
    """The body as ``kind``. Raises RefusalError if the server answered with something else."""
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusalError(
            Action.STOP, "not_understood", f"{request.target}: {error}", status=response.status
        ) from error


def _signed(request: Request, session: Session) -> Request:
    return Request(
        method=request.method,
        target=request.target,
        headers={**request.headers, "authorization": f"Bearer {session.access_token}", "user-agent": USER_AGENT},
        body=request.body,
        seconds_max=request.seconds_max,
    )


USER_AGENT = f"homing-client Python/{platform.python_version()}"


def _problem(answer: Response) -> RefusalError | None:
    """The problem document, if the body is one. An action this client does not know is one for a person: ``stop``."""
    try:
        document = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    code, action = document.get("code"), document.get("action")
    if not isinstance(code, str) or not isinstance(action, str):
        return None
    detail = document.get("detail") or document.get("title") or code
    return RefusalError(ACTIONS.get(action, Action.STOP), code, str(detail), status=answer.status, extra=document)


def _retry_after(answer: Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


def _not_ours(request: Request, answer: Response, action: Action = Action.RETRY) -> RefusalError:
    return RefusalError(
        action,
        "foreign_answer",
        f"{request.target} answered {answer.status}, not by this protocol",
        status=answer.status,
    )
