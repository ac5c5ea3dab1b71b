"""Keys read again: another node may have made one since this node read them.

A node that meets the name of a key it does not know asks the database once more, instead of refusing for as long as it
runs what another node signed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import fields
from typing import Any

import msgspec

from homing.accounts.keys import Keys, load_keys
from homing.postgres.database import Database


async def renew(db: Database, keys: Keys) -> bool:
    """Read the keys again, into the very mappings of ``keys``, because the engine holds one; whether any changed."""
    found = await load_keys(db)
    changed = False
    for name in (field.name for field in fields(Keys) if field.name != "verified"):
        mine: Any = getattr(keys, name)
        theirs: Any = getattr(found, name)
        if isinstance(mine, dict) and list(mine) != list(theirs):
            mine.clear()
            mine.update(theirs)
            changed = True
    if changed:
        keys.verified.clear()  # some may have been signed with a key that is retired now
    return changed


class _KeyId(msgspec.Struct):
    kid: str


def names_unknown_key(keys: Keys, authorization: bytes) -> bool:
    """Whether an access token says that it was signed with a key that is not among these."""
    header = authorization.rpartition(b" ")[2].partition(b".")[0]
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)), type=_KeyId)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return found.kid not in keys.access
