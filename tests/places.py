"""Where tests put their files: in memory, where the system has room there."""

import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes: a cluster takes a few hundred MiB, and two or more test processes have one each."""


def memory() -> Path | None:
    """A folder in memory, or None. A database is a thousand files, and making a cluster waits for the disk again and
    again: in memory that is twenty times as fast as on a busy disk. Tests also put programs there, which some systems
    forbid."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free > ROOM else None
