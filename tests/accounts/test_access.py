"""Access tokens: what is accepted, and every way to forge one that is known."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from homing.accounts.access import VERIFIED_MAX, issue_access, read_access
from homing.accounts.keys import Keys
from homing.engine.caller import Claims
from homing.protocol.errors import Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER, SESSION = UUID(int=1), UUID(int=2)
SECRET = b"s" * 32


def keys(*secrets: bytes) -> Keys:
    return Keys(access={f"k{n}": secret for n, secret in enumerate(secrets or (SECRET,))}, token={}, media={})


def issued(of: Keys, **changed: Any) -> str:
    claims: dict[str, Any] = {
        "user_id": USER,
        "role": "WORKER",
        "tenant": "default",
        "device_id": "phone-1",
        "platform": "mobile",
        "session_id": SESSION,
        "now": NOW,
        "seconds": 600,
    }
    return issue_access(of, **(claims | changed))


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, payload, signature = token.split(".")

    def read(text: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return found

    return read(header), read(payload), signature


def signed(header: dict[str, Any], payload: dict[str, Any], secret: bytes = SECRET, digest: str = "sha256") -> str:
    """A token with whatever header and payload, under a right signature."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), digest))}"


def test_what_a_token_says() -> None:
    assert read_access(keys(), issued(keys()), tenant="default", now=NOW) == Claims(
        user_id=USER,
        role="WORKER",
        tenant="default",
        platform="mobile",
        session_id=SESSION,
        device_name="phone-1",
    )
    assert read_access(keys(), issued(keys(), device_id=None), tenant="default", now=NOW).device_name is None


def test_the_token_itself() -> None:
    header, payload, _ = parts_of(issued(keys()))
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": "k0"}
    assert payload == {
        "iss": "homing",
        "aud": "default",
        "sub": str(USER),
        "sid": str(SESSION),
        "role": "WORKER",
        "platform": "mobile",
        "device": "phone-1",
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()) - 60,
        "exp": int(NOW.timestamp()) + 600,
    }


HEADER, PAYLOAD, _SIGNATURE = parts_of(issued(keys()))
RSA = RSAKey.generate_key(2048, {"kid": "k0"})

FORGERIES: dict[str, Callable[[], str]] = {
    "alg none": lambda: f"{part({**HEADER, 'alg': 'none'})}.{part(PAYLOAD)}.",
    "alg None": lambda: signed({**HEADER, "alg": "None"}, PAYLOAD),
    "no alg": lambda: signed({k: v for k, v in HEADER.items() if k != "alg"}, PAYLOAD),
    "HS512 with our secret": lambda: signed({**HEADER, "alg": "HS512"}, PAYLOAD, digest="sha512"),
    "RS256": lambda: jwt.encode({**HEADER, "alg": "RS256"}, PAYLOAD, RSA, algorithms=["RS256"]),
    "another secret": lambda: signed(HEADER, PAYLOAD, b"x" * 32),
    "an empty secret": lambda: signed(HEADER, PAYLOAD, b""),
    "its own key in the header": lambda: signed(
        {**HEADER, "jwk": {"kty": "oct", "k": part(b"x" * 32)}}, PAYLOAD, b"x" * 32
    ),
    "a jwk beside our signature": lambda: signed({**HEADER, "jwk": {"kty": "oct", "k": part(b"x" * 32)}}, PAYLOAD),
    "a jku": lambda: signed({**HEADER, "jku": "https://example.org/keys"}, PAYLOAD),
    "crit": lambda: signed({**HEADER, "crit": ["exp"]}, PAYLOAD),
    "crit b64": lambda: signed({**HEADER, "crit": ["b64"], "b64": False}, PAYLOAD),
    "another type": lambda: signed({**HEADER, "typ": "JWT"}, PAYLOAD),
    "no type": lambda: signed({k: v for k, v in HEADER.items() if k != "typ"}, PAYLOAD),
    "an unknown key": lambda: signed({**HEADER, "kid": "k9"}, PAYLOAD),
    "a key that is a path": lambda: signed({**HEADER, "kid": "../../dev/null"}, PAYLOAD, b""),
    "a key that is a number": lambda: signed({**HEADER, "kid": 0}, PAYLOAD),
    "another tenant": lambda: signed(HEADER, {**PAYLOAD, "aud": "other"}),
    "another issuer": lambda: signed(HEADER, {**PAYLOAD, "iss": "elsewhere"}),
    "no expiry": lambda: signed(HEADER, {k: v for k, v in PAYLOAD.items() if k != "exp"}),
    "an expiry in words": lambda: signed(HEADER, {**PAYLOAD, "exp": "never"}),
    "an expiry beyond all calendars": lambda: signed(HEADER, {**PAYLOAD, "exp": 10**15}),
    "a fraction": lambda: signed(HEADER, {**PAYLOAD, "exp": PAYLOAD["exp"] + 0.5}),
    "not valid yet": lambda: signed(HEADER, {**PAYLOAD, "nbf": PAYLOAD["iat"] + 120}),
    "no user": lambda: signed(HEADER, {k: v for k, v in PAYLOAD.items() if k != "sub"}),
    "a user that is no id": lambda: signed(HEADER, {**PAYLOAD, "sub": "olga"}),
    "another claim": lambda: signed(HEADER, {**PAYLOAD, "admin": True}),
    "a list for a payload": lambda: signed(HEADER, [PAYLOAD]),  # type: ignore[arg-type]
    "two parts": lambda: ".".join(issued(keys()).split(".")[:2]),
    "four parts": lambda: issued(keys()) + ".x",
    "five parts, as if encrypted": lambda: issued(keys()) + ".x.y",
    "nothing": lambda: "",
    "dots": lambda: "..",
    "not ASCII": lambda: issued(keys()) + "é",
    "five kilobytes": lambda: "x" * 5000,
    "surrounded by blanks": lambda: f" {issued(keys())}",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgeries(forgery: str) -> None:
    with pytest.raises(Problem) as caught:
        read_access(keys(), FORGERIES[forgery](), tenant="default", now=NOW)
    assert caught.value.document() == {**Problem("unauthenticated").document()}


def test_our_own_spelling_of_the_forged_parts_is_accepted() -> None:
    """The forger in this file can sign: what it is refused for is what it forged."""
    assert read_access(keys(), signed(HEADER, PAYLOAD), tenant="default", now=NOW).user_id == USER


def test_every_changed_character_is_noticed() -> None:
    token = issued(keys())
    accepted = []
    for at, character in enumerate(token):
        other = "A" if character != "A" else "B"
        try:
            read_access(keys(), token[:at] + other + token[at + 1 :], tenant="default", now=NOW)
        except Problem:
            continue
        accepted.append(at)
    assert accepted == []


def test_the_other_spellings_of_the_last_character_are_noticed() -> None:
    """Two bits of it are under no signature."""
    token = issued(keys())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = []
    for character in alphabet:
        try:
            read_access(keys(), token[:-1] + character, tenant="default", now=NOW)
        except Problem:
            continue
        accepted.append(character)
    assert accepted == [token[-1]]


def test_an_expired_token_that_was_seen_before_is_forgotten() -> None:
    ours = keys()
    token = issued(ours)
    read_access(ours, token, tenant="default", now=NOW)
    assert list(ours.verified) == [token]
    read_access(ours, token, tenant="default", now=NOW + timedelta(seconds=599))
    with pytest.raises(Problem):
        read_access(ours, token, tenant="default", now=NOW + timedelta(seconds=600))
    assert list(ours.verified) == []


def test_what_was_seen_is_bounded() -> None:
    ours = keys()
    claims = read_access(keys(), issued(keys()), tenant="default", now=NOW)
    for n in range(VERIFIED_MAX):
        ours.verified[f"token {n}"] = (claims, 0)
    token = issued(ours)
    assert read_access(ours, token, tenant="default", now=NOW).user_id == USER
    assert len(ours.verified) == VERIFIED_MAX
    assert next(iter(ours.verified)) == "token 1"
    assert list(ours.verified)[-1] == token


def test_keys_are_replaced_without_signing_anybody_out() -> None:
    old, new = keys(SECRET), keys(b"n" * 32, SECRET)
    token = issued(replace(old, access={"k1": SECRET}))
    assert read_access(new, token, tenant="default", now=NOW).user_id == USER
    assert parts_of(issued(new))[0]["kid"] == "k0"


def test_two_nodes_whose_clocks_differ() -> None:
    assert read_access(keys(), issued(keys()), tenant="default", now=NOW - timedelta(seconds=59)).user_id == USER


def test_the_key_type_is_not_the_tokens_choice() -> None:
    """A public key used as an HMAC secret, the classic confusion."""
    public = RSA.as_pem(private=False)
    token = jwt.encode(HEADER, PAYLOAD, OctKey.import_key(hashlib.sha256(public).digest()), algorithms=["HS256"])
    with pytest.raises(Problem):
        read_access(keys(), token, tenant="default", now=NOW)
