"""Connections: configured, clean, bounded; and one answer when the database is away."""

import pytest

from homing.postgres.database import Database

pytestmark = pytest.mark.anyio


async def test_sessions_are_configured(db: Database) -> None:
    async with db.connection() as conn:
        rows = await (
            await conn.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN ('TimeZone', 'plan_cache_mode', 'jit')"
            )
        ).fetchall()
    assert dict(rows) == {"TimeZone": "UTC", "plan_cache_mode": "force_generic_plan", "jit": "off"}
