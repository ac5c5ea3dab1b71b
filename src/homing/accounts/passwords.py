"""Passwords: argon2id for everything we make, bcrypt accepted from elsewhere and replaced at the next login.

Hashing is slow on purpose, so it runs in two threads of its own: the event loop never waits, and however many people
sign in at once, at most two hashes' memory is in use.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import cache
from importlib.resources import files

import argon2
import bcrypt
import msgspec
from argon2.exceptions import VerifyMismatchError

from homing.protocol.errors import Problem

LENGTH_MIN = 8
LENGTH_MAX = 1000
"""Characters. The upper bound keeps one request from hashing megabytes."""

BCRYPT_BYTES = 72
"""bcrypt looks at no more; the libraries that made old hashes cut silently, so must we when we compare."""

# OWASP's choice for argon2id: 19 MiB and two passes, about 20 ms.
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=argon2.Type.ID)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="homing-password")
_BCRYPT = re.compile(r"\$2[aby]\$")


class Verdict(Enum):
    RIGHT = "right"
    RIGHT_AND_OLD = "right, and the hash should be made anew"
    WRONG = "wrong"


def check_choice(password: str, *, login: str) -> None:
    """Whether somebody may choose this password. Raises Problem("invalid_envelope") saying what would pass."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise Problem(
            "invalid_envelope", f"password must have {LENGTH_MIN} to {LENGTH_MAX} characters - at `$.password`"
        )
    plain = password.casefold()
    names = {login.casefold(), login.casefold().partition("@")[0]}
    if plain in _easy() or plain in names or len(set(plain)) < 3:
        raise Problem("invalid_envelope", "password is among the first that anybody would try - at `$.password`")


async def make_hash(password: str) -> str:
    """The hash to store."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, _normal(password))


async def verify(stored: str | None, password: str) -> Verdict:
    """Compare. ``stored`` None (no such user, or one without a password) costs the same and is WRONG.

    Raises ValueError when ``stored`` is no hash of a kind known here: somebody wrote it past us.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored, _normal(password))


def _verify(stored: str | None, password: str) -> Verdict:
    if stored is None:
        _compare(_decoy(), password)
        return Verdict.WRONG
    if _BCRYPT.match(stored):
        right = bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], stored.encode())
        return Verdict.RIGHT_AND_OLD if right else Verdict.WRONG
    if not stored.startswith("$argon2"):
        raise ValueError("a stored password hash is neither argon2 nor bcrypt")
    if not _compare(stored, password):
        return Verdict.WRONG
    return Verdict.RIGHT_AND_OLD if _hasher.check_needs_rehash(stored) else Verdict.RIGHT


def _compare(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except VerifyMismatchError:
        return False


def _normal(password: str) -> str:
    """Keyboards compose accents differently; the same password typed on two of them must be the same (NIST 800-63B)."""
    return unicodedata.normalize("NFKC", password)


@cache
def _decoy() -> str:
    return _hasher.hash("the password of nobody")


@cache
def _easy() -> frozenset[str]:
    """Passwords of eight characters or more that lead every published list; shorter ones are refused anyway."""
    return frozenset(
        msgspec.json.decode(files(__package__).joinpath("easy_passwords.json").read_bytes(), type=list[str])
    )
