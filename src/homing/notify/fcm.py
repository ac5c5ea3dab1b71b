"""Firebase Cloud Messaging, HTTP v1: a service account signs for an access token, which sends one message a request.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic, time
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

from homing.notify.message import Accepted, Gone, Later, Message, Outcome, Refused, Say
from homing.notify.wire import Answer, Client, send_each

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN_SECONDS_SPARE = 60.0
"""An access token is not used any more so long before it ends."""


class Account(msgspec.Struct, frozen=True):
    """A service account's JSON file, as Google writes it."""

    project_id: str
    private_key: str
    client_email: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - where tokens are had
    private_key_id: str | None = None


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


class _Detail(msgspec.Struct):
    errorCode: str | None = None  # noqa: N815 - Google's spelling
    fieldViolations: list[dict[str, Any]] = []  # noqa: N815


class _Error(msgspec.Struct):
    status: str = ""
    message: str = ""
    details: list[_Detail] = []


class _Failure(msgspec.Struct):
    error: _Error


class Fcm:
    """Raises OSError and ValueError when made of a file that is no service account's."""

    def __init__(self, *, credentials: Path, url: str, client: Client, at_once: int) -> None:
        self._account = msgspec.json.decode(credentials.read_bytes(), type=Account)
        self._key = RSAKey.import_key(self._account.private_key)
        self._url = f"{url.rstrip('/')}/v1/projects/{self._account.project_id}/messages:send"
        self._client = client
        self._at_once = at_once
        self._token: str | None = None
        self._token_until = 0.0
        self._signing = asyncio.Lock()

    async def send(self, messages: Sequence[Message], now: datetime, say: Say) -> None:
        await send_each(messages, lambda message: self._send(message, now), say, at_once=self._at_once)

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, message: Message, now: datetime) -> Outcome:
        token = await self._sign_in()
        if isinstance(token, Later):
            return token
        answer = await self._client.post(
            self._url,
            json={"message": write(message, now)},
            headers={"authorization": f"Bearer {token}"},
        )
        if answer.status == 401 and self._token == token:
            self._token = None  # revoked early: the next attempt signs in again
        return read(answer)

    async def _sign_in(self) -> str | Later:
        """The access token, a new one where the old one ends; one request for however many wait."""
        async with self._signing:
            if self._token is not None and monotonic() < self._token_until:
                return self._token
            account, now = self._account, int(time())
            claims = {
                "iss": account.client_email,
                "scope": SCOPE,
                "aud": account.token_uri,
                "iat": now,
                "exp": now + 3600,
            }
            header = {
                "alg": "RS256",
                "typ": "JWT",
                **({"kid": account.private_key_id} if account.private_key_id else {}),
            }
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": jwt.encode(header, claims, self._key, algorithms=["RS256"]),
            }
            answer = await self._client.post(account.token_uri, data=form)
            try:
                token = msgspec.json.decode(answer.body, type=_Token)
            except msgspec.DecodeError:
                return answer.later("fcm: sign-in")
            self._token = token.access_token
            self._token_until = monotonic() + token.expires_in - TOKEN_SECONDS_SPARE
            return self._token


def write(message: Message, now: datetime) -> dict[str, Any]:
    """The message as FCM takes it, for whatever kind of app the token belongs to."""
    seconds, collapse = message.seconds_left(now), message.collapse
    android: dict[str, Any] = {"priority": "HIGH" if message.urgent else "NORMAL", "ttl": f"{seconds}s"}
    apns = {"apns-priority": "10" if message.urgent else "5", "apns-expiration": str(int(message.expires.timestamp()))}
    web = {"TTL": str(seconds), "Urgency": "high" if message.urgent else "low"}
    if collapse is not None:
        android |= {"collapse_key": collapse, "notification": {"tag": collapse}}
        apns["apns-collapse-id"] = web["Topic"] = collapse
    return {
        "token": message.address,
        "notification": {"title": message.title, "body": message.body},
        "data": message.payload,
        "android": android,
        "apns": {"headers": apns},
        "webpush": {"headers": web},
    }


def read(answer: Answer) -> Outcome:
    if answer.status == 200:
        return Accepted(msgspec.json.decode(answer.body, type=dict[str, Any]).get("name"))
    try:
        error = msgspec.json.decode(answer.body, type=_Failure).error
    except msgspec.DecodeError:
        return answer.later("fcm")
    codes = {detail.errorCode for detail in error.details}
    reason = f"fcm: {answer.status} {next((code for code in codes if code), error.status)}: {error.message}"[:300]
    if "UNREGISTERED" in codes or "SENDER_ID_MISMATCH" in codes:
        return Gone(reason)
    if answer.status == 400:
        fields = {each.get("field") for detail in error.details for each in detail.fieldViolations}
        return Gone(reason) if "message.token" in fields else Refused(reason)
    # 401 and 403 too: somebody has to mend the account, and then it is still worth sending.
    return Later(reason, answer.retry_after)
