"""Web Push: the carriers of browsers (RFC 8030), encrypted messages (RFC 8291), and who sends them (RFC 8292)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import time
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from joserfc import jwt
from joserfc.jwk import ECKey

from homing.notify.encryption import encrypt
from homing.notify.message import Accepted, Gone, Message, Outcome, Refused, Say
from homing.notify.wire import Answer, Client, NotPublicError, send_each

VAPID_SECONDS = 12 * 3600
"""A signature holds for half of what RFC 8292 allows, and is used for half of that: clocks differ."""
ORIGINS_KEPT = 1000
"""Carriers whose signature is kept; there are a handful, unless somebody makes them up."""


class WebPush:
    """Raises OSError and ValueError when made of a file that holds no P-256 key."""

    def __init__(self, *, key: Path, contact: str, client: Client, at_once: int) -> None:
        private = load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(private, EllipticCurvePrivateKey) or not isinstance(private.curve, SECP256R1):
            raise ValueError(f"{key}: no P-256 key")
        self.public_key = write_public_key(private)
        self._key = ECKey.import_key(
            private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
        )
        self._contact = contact
        self._client = client
        self._at_once = at_once
        self._signed: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def send(self, messages: Sequence[Message], now: datetime, say: Say) -> None:
        await send_each(messages, lambda message: self._send(message, now), say, at_once=self._at_once)

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, message: Message, now: datetime) -> Outcome:
        assert message.keys is not None
        headers = {
            "authorization": f"vapid t={self._sign(message.address)}, k={self.public_key}",
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(message.seconds_left(now)),
            "urgency": "high" if message.urgent else "low",
        }
        if message.collapse is not None:
            headers["topic"] = message.collapse
        try:
            sealed = encrypt(write(message), message.keys)
            answer = await self._client.post(message.address, content=sealed, headers=headers)
        except NotPublicError as error:
            return Refused(f"webpush: {error}")
        return read(answer)

    def _sign(self, endpoint: str) -> str:
        """Our signature for the endpoint's carrier."""
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        signed, until = self._signed.get(origin, ("", 0.0))
        now = time()
        if now >= until:
            claims = {"aud": origin, "exp": int(now) + VAPID_SECONDS, "sub": self._contact}
            signed = jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, self._key, algorithms=["ES256"])
            self._signed[origin] = signed, now + VAPID_SECONDS / 2
            if len(self._signed) > ORIGINS_KEPT:
                self._signed.popitem(last=False)
        return signed


def write_public_key(private: EllipticCurvePrivateKey) -> str:
    """What a page gives to ``pushManager.subscribe`` as its applicationServerKey."""
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).decode().rstrip("=")


def write(message: Message) -> bytes:
    """What the page's service worker gets."""
    shown = {"title": message.title, "body": message.body, "tag": message.collapse, "data": message.payload}
    return msgspec.json.encode(shown)


def read(answer: Answer) -> Outcome:
    if 200 <= answer.status < 300:
        return Accepted(answer.headers.get("location"))
    if answer.status in (404, 410):
        return Gone(f"webpush: {answer.status}")
    if answer.status == 429 or answer.status >= 500:
        return answer.later("webpush")
    return Refused(f"webpush: {answer.status} {answer.text}")
