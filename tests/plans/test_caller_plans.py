"""Whoever calls is looked up by key, by push and by live delivery, also by plans that were made when there were few."""

from homing.engine.live_callers import Badge, Callers, ask
from tests.engine.world import World, create
from tests.fixtures.engine import both_servers

MANY = 5_000

READ = """
SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes
WHERE schemaname = 'homing' AND relname IN ('users', 'sessions', 'mobile_devices')
"""
CROWD = """
WITH people AS (
    INSERT INTO homing.users (username, name, role)
    SELECT 'crowd ' || n, 'somebody', 'WORKER' FROM generate_series(1, %s) n
    RETURNING id, username
), sessions AS (
    INSERT INTO homing.sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM people
)
INSERT INTO homing.mobile_devices (device_id, user_id) SELECT username, id FROM people
"""


async def read(world: World) -> int:
    """Index entries that were read of those who may call."""
    for pool in (world.engine.indexed, world.engine.database, world.engine.owner):
        async with pool.connection() as conn:
            await conn.execute("SELECT pg_stat_force_next_flush()", prepare=False)
    return int((await world.execute(READ))[0][0])


@both_servers
async def test_a_caller_is_looked_up_by_key(world: World) -> None:
    team = await world.team()
    phone, web = await world.person("WORKER", team), await world.person("OWNER", team, device=False)
    callers, asked = Callers(world.engine.bound), ask([Badge.of(phone)], ["NULL"])
    async with world.engine.indexed.connection() as conn:

        async def all_ways() -> None:
            assert await callers.fallen(conn, asked) == []
            assert [standing.who is not None for standing in await callers.standing(conn, [phone])] == [True]

        for n in range(2):
            await all_ways()
            for claims in (phone, web):
                code = f"{claims.role} {n}"
                item = create("place", team_id=team, label="a place", code=code)
                (result,) = await world.push(claims, item)
                assert result["status"] == "ok", result
        await world.execute(CROWD, [MANY])
        before = await read(world)
        await all_ways()
        for claims in (phone, web):
            item = create("place", team_id=team, label="a place", code=f"{claims.role} later")
            (result,) = await world.push(claims, item)
            assert result["status"] == "ok"
        assert 0 < await read(world) - before < 200
