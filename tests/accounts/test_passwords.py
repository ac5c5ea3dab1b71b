"""Which passwords may be chosen, and how they are compared."""

import anyio
import pytest

from homing.accounts import passwords
from homing.accounts.passwords import Verdict
from homing.protocol.errors import Problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "password",
    [
        "1234567",
        "x" * 1001,
        "password",
        "PassWord1",
        "12345678",
        "qwertyuiop",
        "olga@example.org",
        "Olga@Example.org",
        "aaaaaaaaaa",
        "abababababab",
    ],
)
async def test_refused_choices(password: str) -> None:
    with pytest.raises(Problem) as caught:
        passwords.check_choice(password, login="olga@example.org")
    assert caught.value.code.code == "invalid_envelope"
    assert caught.value.detail.endswith(" - at `$.password`")


@pytest.mark.parametrize("password", ["12abc345", "x1y" * 333, "пароль-мой", "correct horse", " eight  "])
async def test_accepted_choices(password: str) -> None:
    passwords.check_choice(password, login="olga@example.org")


async def test_the_part_of_an_address_before_the_at_is_no_password() -> None:
    with pytest.raises(Problem):
        passwords.check_choice("long.name.here", login="long.name.here@example.org")


async def test_hashes_are_salted_and_compare() -> None:
    one, other = await passwords.make_hash("correct horse"), await passwords.make_hash("correct horse")
    assert one != other
    assert await passwords.verify(one, "correct horse") is Verdict.RIGHT
    assert await passwords.verify(one, "correct hors") is Verdict.WRONG
    assert await passwords.verify(None, "correct horse") is Verdict.WRONG
    assert await passwords.verify(None, "the password of nobody") is Verdict.WRONG


async def test_a_thousand_characters_all_count() -> None:
    stored = await passwords.make_hash("x" * 999 + "y")
    assert await passwords.verify(stored, "x" * 999 + "y") is Verdict.RIGHT
    assert await passwords.verify(stored, "x" * 1000) is Verdict.WRONG


@pytest.mark.parametrize("stored", ["", "plain text", "$1$md5", "$2$", "5f4dcc3b5aa765d61d8327deb882cf99"])
async def test_a_stored_value_that_is_no_hash_is_an_error_and_never_a_match(stored: str) -> None:
    with pytest.raises(ValueError, match="neither argon2 nor bcrypt"):
        await passwords.verify(stored, stored)


async def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    """Other work is done between the beginning and the end of a hash."""
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await passwords.make_hash("correct horse")
        group.cancel_scope.cancel()
    assert turns > 3
