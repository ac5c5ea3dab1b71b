"""Keys of devices: a public key that is pinned to a device, and the proof that whoever asks holds the private half.

Ed25519, and P-256 because that is what the key stores of phones offer. A key is kept as a JWK. What is signed is a few
lines of text (``protocol/enrolment.py``): the purpose, the device's name, the server's challenge, what it is for.

A challenge is signed by the server and stored nowhere: it says that this server asked this device lately. It may be
answered twice within its two minutes; but an answer names the very refresh token or login it is for, so whoever
overhears one can only repeat what was done.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from msgspec import Meta

from homing.accounts.identity import Identity, read_signed
from homing.protocol.enrolment import session_proof
from homing.protocol.errors import Problem

CHALLENGE = "homing-challenge"
CHALLENGE_SECONDS = 120

Nonce = Annotated[str, Meta(min_length=1, max_length=200)]
Signature = Annotated[str, Meta(max_length=200)]
"""base64url, with Ed25519 of 64 bytes, with P-256 of 64 or in DER."""


class Jwk(msgspec.Struct, frozen=True, omit_defaults=True):
    """A public key (RFC 7517, RFC 8037). Members that are not listed are left out."""

    kty: str
    crv: str
    x: str
    y: str | None = None


PublicKey = Annotated[str, Meta(max_length=1000)] | Jwk
"""As a request may bring it: a JWK, PEM, base64 of the DER that platforms export, or an Ed25519 key's 32 bytes."""

_Key = Ed25519PublicKey | EllipticCurvePublicKey


def read_public_key(given: PublicKey) -> Jwk:
    """The key in its one spelling. Raises Problem("invalid_envelope")."""
    try:
        key = _of_jwk(given) if isinstance(given, Jwk) else _of_text(given)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Problem(
            "invalid_envelope", "public_key must be an Ed25519 or P-256 key as JWK, PEM or base64 - at `$.public_key`"
        ) from None
    if isinstance(key, Ed25519PublicKey):
        return Jwk("OKP", "Ed25519", _text(key.public_bytes_raw()))
    numbers = key.public_numbers()
    return Jwk("EC", "P-256", _text(numbers.x.to_bytes(32)), _text(numbers.y.to_bytes(32)))


def is_signed(key: Jwk, message: bytes, signature: str) -> bool:
    """Whether ``signature`` is of this message by this key."""
    public = _of_jwk(key)
    try:
        raw = _raw(signature)
        if isinstance(public, Ed25519PublicKey):
            public.verify(raw, message)
        else:
            public.verify(_der(raw), message, ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def make_challenge(identity: Identity, *, tenant: str, device: str, nonce: str | None, now: datetime) -> str:
    """What the device is to sign. ``nonce`` is the device's own: found in here again, it shows that the server that
    holds this key answered just now."""
    return identity.sign(
        CHALLENGE,
        {
            "aud": tenant,
            "device": device,
            "nonce": nonce,
            "jti": secrets.token_urlsafe(16),
            "exp": int((now + timedelta(seconds=CHALLENGE_SECONDS)).timestamp()),
        },
    )


def check_answer(
    identities: Mapping[str, Identity],
    *,
    tenant: str,
    key: Mapping[str, Any],
    device: str,
    purpose: str,
    subject: str,
    challenge: str | None,
    signature: str | None,
    now: datetime,
) -> None:
    """Whether whoever asks holds the device's key. Raises Problem("invalid_proof"), one answer for every lack."""
    if challenge is None or signature is None:
        raise Problem("invalid_proof")
    claims = read_signed(identities, CHALLENGE, challenge)
    if claims is None or (claims["aud"], claims["device"]) != (tenant, device) or claims["exp"] < now.timestamp():
        raise Problem("invalid_proof")
    message = session_proof(purpose=purpose, device=device, challenge=challenge, subject=subject)
    if not is_signed(msgspec.convert(key, Jwk), message, signature):
        raise Problem("invalid_proof")


def _of_jwk(given: Jwk) -> _Key:
    match given.kty, given.crv:
        case "OKP", "Ed25519":
            return Ed25519PublicKey.from_public_bytes(_raw(given.x))
        case "EC", "P-256" if given.y is not None:
            x, y = int.from_bytes(_raw(given.x)), int.from_bytes(_raw(given.y))
            return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    raise ValueError("another kind of key")


def _of_text(given: str) -> _Key:
    key: object
    if given.lstrip().startswith("-----BEGIN"):
        key = load_pem_public_key(given.strip().encode())
    else:
        raw = _raw(given)
        key = Ed25519PublicKey.from_public_bytes(raw) if len(raw) == 32 else load_der_public_key(raw)
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError("another kind of key")


def _der(raw: bytes) -> bytes:
    """A P-256 signature as platforms make it; JOSE's 64 bytes become it."""
    if len(raw) != 64:
        return raw
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _raw(text: str) -> bytes:
    """base64url or base64, padded or not."""
    bare = text.strip().rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
