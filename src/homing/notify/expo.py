"""Expo: a hundred messages a request, each answered by a ticket, and later asked for by a receipt.

https://docs.expo.dev/push-notifications/sending-notifications/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from homing.notify.message import Accepted, Gone, Later, Message, Outcome, Refused, Say
from homing.notify.wire import Answer, Client

MESSAGES_MAX = 100
RECEIPTS_MAX = 1000
"""In one request, says Expo."""


class _Ticket(msgspec.Struct):
    status: str
    id: str | None = None
    message: str = ""
    details: dict[str, Any] = {}


class _Tickets(msgspec.Struct):
    data: list[_Ticket]


class _Receipts(msgspec.Struct):
    data: dict[str, _Ticket]


class _Error(msgspec.Struct):
    code: str = ""
    details: dict[str, list[str]] = {}


class _Failure(msgspec.Struct):
    errors: list[_Error]


class Expo:
    """Raises OSError for a token's file that cannot be read."""

    def __init__(self, *, url: str, token: Path | None, client: Client) -> None:
        self._url = url.rstrip("/")
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token.read_text(encoding='ascii').strip()}"
        self._client = client

    async def send(self, messages: Sequence[Message], now: datetime, say: Say) -> None:
        for start in range(0, len(messages), MESSAGES_MAX):
            part = messages[start : start + MESSAGES_MAX]
            outcomes = await self._send(part, now)
            for message in part:
                say(message, outcomes[message.delivery])

    async def ask(self, tickets: Sequence[str]) -> Mapping[str, Outcome] | Later:
        """The receipts that there are, by ticket; those that Expo does not have yet are left out. At most
        ``RECEIPTS_MAX``."""
        answer = await self._post("getReceipts", {"ids": list(tickets)})
        if isinstance(answer, Later):
            return answer
        try:
            found = msgspec.json.decode(answer.body, type=_Receipts).data
        except msgspec.DecodeError:
            return answer.later("expo")
        return {ticket: _read(receipt) for ticket, receipt in found.items()}

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, messages: Sequence[Message], now: datetime) -> dict[int, Outcome]:
        answer = await self._post("send", [write(message, now) for message in messages])
        if isinstance(answer, Later):
            return {message.delivery: answer for message in messages}
        try:
            tickets = msgspec.json.decode(answer.body, type=_Tickets).data
        except msgspec.DecodeError:
            tickets = []
        if answer.status == 200 and len(tickets) == len(messages):
            return {message.delivery: _read(ticket) for message, ticket in zip(messages, tickets, strict=True)}
        groups = _projects(answer)
        parts = [part for group in groups if (part := [each for each in messages if each.address in group])]
        if len(parts) < 2 or sum(map(len, parts)) != len(messages):
            return {message.delivery: answer.later("expo") for message in messages}
        # Tokens of several projects, which Expo does not take together.
        outcomes: dict[int, Outcome] = {}
        for part in parts:
            outcomes |= await self._send(part, now)
        return outcomes

    async def _post(self, path: str, body: Any) -> Answer | Later:
        try:
            return await self._client.post(
                f"{self._url}/{path}", content=msgspec.json.encode(body), headers=self._headers
            )
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            return Later(f"expo: {type(error).__name__}: {error}"[:300])


def write(message: Message, now: datetime) -> dict[str, Any]:
    return {
        "to": message.address,
        "title": message.title,
        "body": message.body,
        "data": message.payload,
        "ttl": message.seconds_left(now),
        "priority": "high" if message.urgent else "normal",
        "sound": "default",
    }


def _read(said: _Ticket) -> Outcome:
    """A ticket or a receipt."""
    if said.status == "ok":
        return Accepted(said.id, receipt=True)
    error = str(said.details.get("error", ""))
    reason = f"expo: {error or said.message}"[:300]
    match error:
        case "DeviceNotRegistered":
            return Gone(reason)
        case "MessageTooBig":
            return Refused(reason)
        case _:  # MessageRateExceeded, and credentials that somebody has to mend
            return Later(reason)


def _projects(answer: Answer) -> Sequence[frozenset[str]]:
    try:
        failure = msgspec.json.decode(answer.body, type=_Failure)
    except msgspec.DecodeError:
        return []
    return [
        frozenset(tokens)
        for error in failure.errors
        if error.code == "PUSH_TOO_MANY_EXPERIENCE_IDS"
        for tokens in error.details.values()
    ]
