"""APNs, Apple's push service: HTTP/2, one request a notification, and a token that we sign ourselves.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from homing.notify.message import Accepted, Gone, Message, Outcome, Refused, Say
from homing.notify.wire import Answer, Client, send_each

TOKEN_SECONDS = 40 * 60
"""Apple takes a token for an hour, and refuses whoever makes a new one within twenty minutes."""
TOKEN_SECONDS_MIN = 20 * 60

DEAD = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
OURS = frozenset({"ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken", "TopicDisallowed"})
"""Reasons that lie with the settings: somebody has to mend them, and then it is still worth sending."""


class _Failure(msgspec.Struct):
    reason: str = ""
    timestamp: float | None = None
    """Milliseconds: since when the token is dead."""


class Apns:
    """Raises OSError and ValueError when made of a file that holds no key."""

    def __init__(
        self,
        *,
        key: Path,
        key_id: str,
        team_id: str,
        topic: str,
        url: str,
        client: Client,
        at_once: int,
        clock: Callable[[], float] = time,
    ) -> None:
        self._key = ECKey.import_key(key.read_text(encoding="ascii"))
        self._key_id, self._team_id, self._topic = key_id, team_id, topic
        self._url = f"{url.rstrip('/')}/3/device/"
        self._client = client
        self._at_once = at_once
        self._clock = clock
        self._token = ""
        self._signed_at = 0.0

    async def send(self, messages: Sequence[Message], now: datetime, say: Say) -> None:  # noqa: ARG002 - it is told
        await send_each(messages, self._send, say, at_once=self._at_once)

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, message: Message) -> Outcome:
        token = self._sign()
        headers = {
            "authorization": f"bearer {token}",
            "apns-topic": self._topic,
            "apns-push-type": "alert",
            "apns-priority": "10" if message.urgent else "5",
            "apns-expiration": str(int(message.expires.timestamp())),
        }
        if message.collapse is not None:
            headers["apns-collapse-id"] = message.collapse
        answer = await self._client.post(self._url + message.address, content=write(message), headers=headers)
        if answer.status == 403 and token == self._token and self._clock() - self._signed_at >= TOKEN_SECONDS_MIN:
            self._token = ""
        return read(answer)

    def _sign(self) -> str:
        now = self._clock()
        if not self._token or not 0 <= now - self._signed_at < TOKEN_SECONDS:
            header = {"alg": "ES256", "kid": self._key_id}
            self._token = jwt.encode(header, {"iss": self._team_id, "iat": int(now)}, self._key, algorithms=["ES256"])
            self._signed_at = now
        return self._token


def write(message: Message) -> bytes:
    alert = {"title": message.title, "body": message.body}
    payload: dict[str, Any] = {**message.payload, "aps": {"alert": alert, "sound": "default"}}
    return msgspec.json.encode(payload)


def read(answer: Answer) -> Outcome:
    if answer.status == 200:
        return Accepted(answer.headers.get("apns-id"))
    try:
        failure = msgspec.json.decode(answer.body or b"{}", type=_Failure)
    except msgspec.DecodeError:
        failure = _Failure()
    reason = f"apns: {answer.status} {failure.reason}"
    if answer.status == 410 or failure.reason in DEAD:
        since = None if failure.timestamp is None else datetime.fromtimestamp(failure.timestamp / 1000, UTC)
        return Gone(reason, since)
    if answer.status in (400, 404, 405, 413) and failure.reason not in OURS:
        return Refused(reason)
    return answer.later("apns", failure.reason)
