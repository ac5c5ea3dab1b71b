"""The signing keys of a database: shared by its nodes, made by whichever node needs one first.

The newest key of a purpose signs; every key that is not retired still verifies, so that a key can be replaced without
signing anybody out.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from homing.accounts.identity import Identity, read_identities
from homing.engine.caller import Claims
from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, load

PURPOSES = ("access", "token", "media", "identity", "fingerprint")
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets by key id, the newest first: of access tokens (and refresh tokens), of sync tokens, of media URLs, of
    hashes of what the server must recognise and not know; and by fingerprint the key pairs that it shows to phones.

    ``verified`` remembers access tokens whose signature was checked, with their expiry in Unix seconds (see
    ``access.py``): it belongs to these keys.
    """

    access: Mapping[str, bytes]
    token: Mapping[str, bytes]
    media: Mapping[str, bytes]
    identities: Mapping[str, Identity] = field(default_factory=dict)
    fingerprint: Mapping[str, bytes] = field(default_factory=dict)
    verified: dict[str, tuple[Claims, int]] = field(default_factory=dict, repr=False)

    @property
    def recognising(self) -> bytes:
        """The secret of keyed hashes: the oldest one, because what was hashed with another is not recognised."""
        return list(self.fingerprint.values())[-1]


async def load_keys(db: Database) -> Keys:
    """All keys in use; missing ones are made. Two nodes starting at once agree on the same ones."""
    async with db.transaction() as conn:
        await execute(conn, load(__package__, "lock_keys"))
        rows = await fetch_all(conn, load(__package__, "read_keys"))
        missing = [purpose for purpose in PURPOSES if purpose not in {row[1] for row in rows}]
        for purpose in missing:
            secret = secrets.token_bytes(SECRET_BYTES)
            await execute(conn, load(__package__, "insert_key"), {"purpose": purpose, "secret": secret})
        if missing:
            rows = await fetch_all(conn, load(__package__, "read_keys"))
    by_purpose: dict[str, dict[str, bytes]] = {purpose: {} for purpose in PURPOSES}
    key_id: UUID
    for key_id, purpose, secret in rows:
        by_purpose[purpose][key_id.hex[:12]] = bytes(secret)
    return Keys(
        access=by_purpose["access"],
        token=by_purpose["token"],
        media=by_purpose["media"],
        identities=read_identities(by_purpose["identity"].values()),
        fingerprint=by_purpose["fingerprint"],
    )
