"""Presence: who is online, by the connections they have open.

Each node with live connections keeps a row of its own and the users it has; somebody is online while any node that is
alive has them. A node that died says nothing any more: after ``NODE_SECONDS_MAX`` the others clear up after it, and
whoever was only there is offline. ``homing.users`` says so for queries, ``homing.presence`` carries the stamp by which
the news travels (engine/live.py).
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load

BEAT_SECONDS = 5
"""Seconds between a node's signs of life."""
NODE_SECONDS_MAX = 20
"""Seconds without one after which a node counts as dead: four missed."""


async def beat(conn: Connection, node: UUID) -> bool:
    """A sign of life of ``node``. False: it counted as dead, so its users have to be said again."""
    return await fetch_one(conn, load(__package__, "beat_live_node"), {"node": node}) != (True,)


async def arrive(conn: Connection, node: UUID, users: Collection[UUID]) -> None:
    """These users are connected to ``node``, which has said it is alive."""
    await execute(conn, load(__package__, "arrive"), {"node": node, "users": sorted(users)})


async def depart(conn: Connection, node: UUID, users: Collection[UUID]) -> None:
    """These users are connected to ``node`` no longer."""
    await execute(conn, load(__package__, "depart"), {"node": node, "users": sorted(users)})


async def arrive_sessions(conn: Connection, node: UUID, sessions: Collection[UUID]) -> None:
    """These sessions have a live connection to ``node``: their devices are told there, and need not be woken."""
    await execute(conn, load(__package__, "arrive_sessions"), {"node": node, "sessions": sorted(sessions)})


async def depart_sessions(conn: Connection, node: UUID, sessions: Collection[UUID]) -> None:
    """These sessions have none any more."""
    await execute(conn, load(__package__, "depart_sessions"), {"node": node, "sessions": sorted(sessions)})


async def close_node(conn: Connection, node: UUID) -> None:
    """``node`` goes, and all its users with it."""
    await execute(conn, load(__package__, "close_live_node"), {"node": node})


async def bury_nodes(conn: Connection) -> None:
    """Clear up after nodes that died."""
    await execute(conn, load(__package__, "bury_live_nodes"), {"seconds": NODE_SECONDS_MAX})


async def mend(conn: Connection, node: UUID) -> None:
    """Say again of users of ``node`` that they are online, where another node said otherwise in the same moment."""
    await execute(conn, load(__package__, "mend_presence"), {"node": node})


async def others(conn: Connection, node: UUID) -> bool:
    """Whether any other node has subscribers."""
    return bool(
        await fetch_all(conn, load(__package__, "find_live_nodes"), {"node": node, "seconds": NODE_SECONDS_MAX})
    )
