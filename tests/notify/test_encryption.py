"""RFC 8291, held against its own example and against a browser's side of it."""

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from homing.accounts.push_tokens import Keys
from homing.notify.encryption import encrypt
from tests.notify.browser import Browser, decode, encode

# RFC 8291, appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
THEIRS = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
OURS = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
SEALED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
    "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def keys(browser: Browser) -> Keys:
    return Keys(**browser.keys)


def number(text: str) -> int:
    return int.from_bytes(decode(text), "big")


def test_the_example_of_the_rfc() -> None:
    browser = Browser("https://push.example.net/1", number(THEIRS), decode(AUTH))
    private = ec.derive_private_key(number(OURS), ec.SECP256R1())
    sealed = encrypt(PLAIN, keys(browser), private=private, salt=decode(SALT))
    assert encode(sealed) == SEALED
    assert browser.read(sealed) == PLAIN


@pytest.mark.parametrize("size", [0, 1, 100, 3993])
def test_only_the_browser_it_is_for_reads_it(size: int) -> None:
    browser, other = Browser("https://push.example.net/1"), Browser("https://push.example.net/2")
    text = bytes(n % 256 for n in range(size))
    sealed = encrypt(text, keys(browser))
    assert browser.read(sealed) == text
    assert sealed != encrypt(text, keys(browser))
    with pytest.raises(InvalidTag):
        other.read(sealed)
    with pytest.raises(InvalidTag):
        browser.read(sealed[:-1] + bytes([sealed[-1] ^ 1]))


@pytest.mark.parametrize(
    ("text", "changed"),
    [(b"x" * 3994, {}), (b"x", {"p256dh": encode(b"\x04" + b"\x01" * 64)}), (b"x", {"p256dh": ""})],
)
def test_what_cannot_be_sent_is_refused(text: bytes, changed: dict[str, Any]) -> None:
    given = {**Browser("https://push.example.net/1").keys, **changed}
    with pytest.raises(ValueError, match=r"record|curve|point|key|key|length|empty"):
        encrypt(text, Keys(**given))
