"""How tokens, codes and links are spelled, and that a slip of the hand is noticed where it happens."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.protocol.enrolment import (
    ALPHABET,
    Invitation,
    NotACodeError,
    Token,
    enrolment_proof,
    grouped,
    new_secret,
    read_link,
    read_secret,
    read_token,
    session_proof,
    spell,
)

HANDLE = UUID("0197b3a4-0000-7000-8000-000000000001")
secrets = st.binary(min_size=16, max_size=16).map(spell)


def test_a_secret_has_128_bits_and_is_new_each_time() -> None:
    assert spell(bytes(16)) == "0" * 28
    assert spell(b"\xff" * 16) == "7" + "Z" * 25 + "M5"
    assert len({new_secret() for _ in range(1000)}) == 1000


@given(secrets)
def test_a_code_is_read_however_it_was_written(secret: str) -> None:
    sloppy = grouped(secret).replace("1", "l").replace("0", "o").lower()
    assert [read_secret(text) for text in (secret, grouped(secret), sloppy, f" {secret} ")] == [secret] * 4


@given(secrets, st.integers(0, 27), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(secret: str, at: int, character: str) -> None:
    wrong = secret[:at] + character + secret[at + 1 :]
    if wrong != secret:
        with pytest.raises(NotACodeError):
            read_secret(wrong)


@given(secrets, st.integers(0, 26))
def test_two_swapped_characters_are_noticed(secret: str, at: int) -> None:
    wrong = secret[:at] + secret[at + 1] + secret[at] + secret[at + 2 :]
    if wrong != secret:
        with pytest.raises(NotACodeError):
            read_secret(wrong)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "28 letters"),
        ("0" * 27, "has 27"),
        ("0" * 29, "has 29"),
        ("U" + "0" * 27, "'U' is in no code"),
        ("8" + "0" * 27, "wrong"),
        ("0" * 27 + "1", "wrong"),
    ],
)
def test_what_is_no_code(text: str, says: str) -> None:
    with pytest.raises(NotACodeError, match=says if says != "28 letters" else "has 0"):
        read_secret(text)


@given(secrets)
def test_a_token_is_two_halves_of_which_one_may_be_missing(secret: str) -> None:
    whole = Token(HANDLE, secret)
    assert read_token(str(whole)) == whole
    assert read_token(str(HANDLE)) == Token(HANDLE, None)
    assert read_token(grouped(secret)) == Token(None, secret)


@pytest.mark.parametrize("text", ["", ".", "x.y", str(HANDLE) + ".", str(HANDLE)[:-1], "{" + str(HANDLE)[:-2] + "}"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(NotACodeError):
        read_token(text)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_token, read_link, read_secret):
        try:
            read(text)
        except NotACodeError:
            continue


@given(secrets, st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_a_link_says_what_was_put_in(secret: str, tenant: str) -> None:
    invitation = Invitation("https://homing.example/a", tenant, Token(HANDLE, secret), "f" * 43)
    assert read_link(invitation.link()) == invitation


@pytest.mark.parametrize(
    "text",
    [
        "https://homing.example/enroll?url=https://a&tenant=a&token=b&key=c",
        f"homing://enroll?url=https://a&tenant=a&token={HANDLE}",
        f"homing://enroll?url=javascript:alert(1)&tenant=a&token={HANDLE}&key=c",
        "homing://[enroll",
    ],
)
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(NotACodeError):
        read_link(text)


def test_what_is_signed_says_for_what_it_counts() -> None:
    assert enrolment_proof(handle=HANDLE, device="d", fingerprint="f") == (
        b"homing-device-proof-1\nenroll\nd\n0197b3a4-0000-7000-8000-000000000001\nf"
    )
    assert session_proof(purpose="refresh", device="d", challenge="c", subject="hr_x") == (
        b"homing-device-proof-1\nrefresh\nd\nc\nsLaXgoLDO9j9FdU6xQHgZtxH0ZnN5yzsHGWS0wkee6I"
    )
