"""The server's own key pair. By its fingerprint in the QR code a phone knows that it talks to the server that the
office meant, whatever the line in between says."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

ALGORITHM = "Ed25519"  # RFC 9864


@dataclass(frozen=True, slots=True)
class Identity:
    """``public`` is a JWK, ``fingerprint`` its thumbprint (RFC 7638)."""

    fingerprint: str
    public: Mapping[str, str]
    key: OKPKey

    def sign(self, kind: str, claims: Mapping[str, Any]) -> str:
        """A compact JWS. ``kind`` is its ``typ``: what is signed for one purpose passes for no other."""
        header = {"alg": ALGORITHM, "typ": kind, "kid": self.fingerprint}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self.key, algorithms=[ALGORITHM])


def read_identities(secrets: Iterable[bytes]) -> Mapping[str, Identity]:
    """Key pairs by fingerprint from the private halves, in their order."""
    found = [_read(secret) for secret in secrets]
    return {identity.fingerprint: identity for identity in found}


def read_signed(identities: Mapping[str, Identity], kind: str, text: str) -> dict[str, Any] | None:
    """The claims of a JWS that one of ``identities`` signed for this purpose; None for everything else."""
    for identity in identities.values():
        try:
            found = jws.deserialize_compact(text, identity.key, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            continue
        header = found.headers()
        if header.get("typ") == kind and header.get("kid") == identity.fingerprint:
            claims: dict[str, Any] = msgspec.json.decode(found.payload)
            return claims
    return None


def _read(secret: bytes) -> Identity:
    private = Ed25519PrivateKey.from_private_bytes(secret)
    public = {"kty": "OKP", "crv": "Ed25519", "x": _text(private.public_key().public_bytes_raw())}
    key = OKPKey.import_key({**public, "d": _text(secret)})
    return Identity(key.thumbprint(), public, key)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
