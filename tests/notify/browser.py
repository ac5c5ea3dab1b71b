"""A browser's side of Web Push: a subscription, and what it does with a message. Written from RFC 8291's point of view
of a receiver, and with none of the code that sends."""

import hashlib
import hmac
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Browser:
    """``text`` is what the page sends to the server: its subscription as JSON."""

    def __init__(self, endpoint: str, private: int | None = None, auth: bytes | None = None) -> None:
        self.endpoint = endpoint
        self._private = (
            ec.generate_private_key(ec.SECP256R1())
            if private is None
            else ec.derive_private_key(private, ec.SECP256R1())
        )
        self._point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = auth or os.urandom(16)
        self.keys = {"p256dh": encode(self._point), "auth": encode(self._auth)}
        self.text = json.dumps({"endpoint": endpoint, "expirationTime": None, "keys": self.keys})

    def read(self, body: bytes) -> bytes:
        """The message in a request's body. Raises where it is not for this browser or was altered."""
        salt, record_bytes, id_bytes = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender = body[21 : 21 + id_bytes]
        sealed = body[21 + id_bytes :]
        assert len(sealed) <= record_bytes
        shared = self._private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        auth_key = _hmac(self._auth, shared)
        secret = _hmac(auth_key, b"WebPush: info\0" + self._point + sender + b"\1")
        pseudorandom = _hmac(salt, secret)
        key = _hmac(pseudorandom, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _hmac(pseudorandom, b"Content-Encoding: nonce\0\1")[:12]
        padded = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0")
        assert padded[-1:] == b"\2", "the only record is the last one"
        return padded[:-1]


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()
