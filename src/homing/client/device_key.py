"""The device's own key pair: made when it is enrolled, kept in a file beside the replica that only its owner may read.

The server pins the public half. From then on a refresh token that was stolen is worth nothing without this file, and
the other way round: before it signs anything, the client looks whether the challenge was signed by the server whose
fingerprint stood in the QR code.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from homing.protocol.enrolment import enrolment_proof, session_proof

ALGORITHM = "Ed25519"


class WrongServerError(Exception):
    """The server does not hold the key that the device was enrolled with. Nothing secret was sent to it."""


class DeviceKey(msgspec.Struct, frozen=True, kw_only=True):
    """``private`` in base64url. ``fingerprint`` and ``tenant``: whose server this is, None until that is known.
    ``handle``: the token being redeemed."""

    private: str
    fingerprint: str | None = None
    tenant: str | None = None
    handle: UUID | None = None

    @property
    def public(self) -> Mapping[str, str]:
        """The public half as a JWK."""
        return {"kty": "OKP", "crv": ALGORITHM, "x": _text(self._key().public_key().public_bytes_raw())}

    def nonce(self, handle: UUID) -> str:
        """The same for every try to redeem one token, and known to nobody else: by it a lost answer comes again."""
        return _text(hashlib.sha256(f"{self.private} {handle}".encode()).digest())

    def sign_enrolment(self, *, handle: UUID, device: str) -> str:
        assert self.fingerprint is not None
        return self._sign(enrolment_proof(handle=handle, device=device, fingerprint=self.fingerprint))

    def sign_session(self, *, purpose: str, device: str, challenge: str, subject: str) -> str:
        return self._sign(session_proof(purpose=purpose, device=device, challenge=challenge, subject=subject))

    def _sign(self, message: bytes) -> str:
        return _text(self._key().sign(message))

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(self.private + "="))


def key_path(replica: Path) -> Path:
    return replica.with_name(replica.name + ".key")


def find_key(replica: Path) -> DeviceKey | None:
    """The replica's key; None for a device that was not enrolled."""
    try:
        return msgspec.json.decode(key_path(replica).read_bytes(), type=DeviceKey)
    except FileNotFoundError:
        return None


def keep_key(replica: Path, **known: Any) -> DeviceKey:
    """The replica's key, made now where there is none, with what is ``known`` besides."""
    old = find_key(replica) or DeviceKey(private=_text(Ed25519PrivateKey.generate().private_bytes_raw()))
    key = msgspec.structs.replace(old, **known)
    path = key_path(replica)
    new = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(key))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return key


def check_server(
    signed: str, public: Mapping[str, str], *, kind: str, expected: Mapping[str, Any], fingerprint: str
) -> None:
    """Whether the server with this fingerprint signed this, for this purpose, with what we expect in it.

    Raises WrongServerError.
    """
    try:
        key = OKPKey.import_key({name: public[name] for name in ("kty", "crv", "x")})
        found = jws.deserialize_compact(signed, key, algorithms=[ALGORITHM])
        said = msgspec.json.decode(found.payload, type=dict[str, Any])
    except (JoseError, ValueError, KeyError, msgspec.DecodeError) as error:
        raise WrongServerError("the server's signature cannot be read") from error
    if key.thumbprint() != fingerprint:
        raise WrongServerError("this server has another key than the one the device was enrolled with")
    if found.headers().get("typ") != kind or any(said.get(name) != value for name, value in expected.items()):
        raise WrongServerError("the server signed something else than it was asked")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
