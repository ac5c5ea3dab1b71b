"""Removing a replica for good, because the server said so: the database, attached files, its key, damaged copies."""

from __future__ import annotations

import shutil

from homing.client.store import Store

OURS = ("", "-wal", "-shm", "-journal", ".lock", ".key", ".key.new")
"""What follows the replica's name in the names of its files."""


def wipe(store: Store) -> None:
    """Close the replica and remove everything of it."""
    store.close()
    for path in store.path.parent.glob(f"{store.path.name}*"):
        # Our own names only: somebody may keep "replica.db.notes" beside "replica.db".
        rest = path.name[len(store.path.name) :]
        if rest == ".files":
            shutil.rmtree(path)
        elif rest in ("", "-wal", "-shm", "-journal", ".lock", ".key", ".key.new") or rest.startswith(
            (".damaged-", ".salvage")
        ):
            path.unlink(missing_ok=True)
