"""RFC 8291: a message that only one browser can read, whoever carries it.

Both sides have a key pair on P-256: the browser's is in its subscription, ours is made for this message alone. From the
secret they share, and from one that only the browser and we know (``auth``), comes a key; from that and a salt, the key
and nonce of RFC 8188's ``aes128gcm``, of which a notification is one record.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from homing.accounts.push_tokens import Keys

CHUNK_BYTES = 4096
"""What every carrier must take (RFC 8030, section 7.2)."""
LAST_CHUNK = b"\x02"


def encrypt(
    text: bytes, keys: Keys, *, private: EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """``text`` as the body of a request. ``private`` and ``salt``, made afresh for every message, are arguments for the
    RFC's own example. Raises ValueError for keys that are none."""
    theirs_raw, auth = decode(keys.p256dh), decode(keys.auth)
    theirs = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), theirs_raw)
    private = private or generate_private_key(SECP256R1())
    salt = salt or os.urandom(16)
    ours_raw = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret = _derive(private.exchange(ECDH(), theirs), auth, b"WebPush: info\x00" + theirs_raw + ours_raw, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\x00", 12)
    sealed = AESGCM(key).encrypt(nonce, text + LAST_CHUNK, None)
    header = salt + CHUNK_BYTES.to_bytes(4, "big") + bytes([len(ours_raw)]) + ours_raw
    if len(header) + len(sealed) > CHUNK_BYTES:
        raise ValueError("more than one record")
    return header + sealed


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derive(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)
