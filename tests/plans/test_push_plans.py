"""What a push looks up, it looks up by key, whatever there was when its plans were made."""

from homing.engine.caller import Claims
from tests.engine.world import World, create
from tests.fixtures.engine import both_servers

MANY = 20_000

READ = """
SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes
WHERE schemaname = 'homing' AND (relname LIKE 'history%%' OR relname = 'sync_items')
"""


async def read(world: World) -> int:
    """Entries that were read of the indexes on what happened to rows, and on what devices sent."""
    for pool in (world.engine.indexed, world.engine.database, world.engine.owner):
        async with pool.connection() as conn:
            await conn.execute("SELECT pg_stat_force_next_flush()", prepare=False)
    return int((await world.execute(READ))[0][0])


async def push_place(world: World, device: Claims, team: str, code: str) -> str:
    (result,) = await world.push(device, create("place", f"@{code}", team_id=team, label="a place", code=code))
    return str(result["status"])


@both_servers
async def test_a_create_reads_neither_what_was_deleted_nor_what_was_sent_before(world: World) -> None:
    """Neither one that goes at once nor one that reads first, nor one by a plan that was made when nothing was."""
    team = await world.team()
    first, second = await world.person("WORKER", team), await world.person("WORKER", team)
    for n, device in enumerate((first, first, second)):
        assert await push_place(world, device, team, f"before {n}") == "ok"
    await world.execute(
        "INSERT INTO homing.history (table_id, row_id, version, action, changes, actor)"
        " SELECT t.id, 'gone ' || n, 2, 'delete', jsonb_build_object('team_id', jsonb_build_array(%s::text)), 'outside'"
        " FROM homing.synced_tables t, generate_series(1, %s) n WHERE t.name = 'demo.places'",
        [team, MANY],
    )
    (made,) = await world.execute("SELECT count(*) FROM homing.history WHERE action = 'delete'")
    assert made == (MANY,)
    await world.execute(
        "INSERT INTO homing.sync_items (batch_id, device_id, position, client_temp_id, resource_type, action, payload,"
        " status) SELECT b.id, b.device_id, n, 'sent ' || n, 'place', 'create', '{}', 'ok'"
        " FROM homing.sync_batches b, generate_series(10, %s) n",
        [MANY],
    )
    third = await world.person("WORKER", team)
    for analyzed in (False, True):
        if analyzed:
            await world.execute("ANALYZE homing.history")
        for device in (first, second, third):
            before = await read(world)
            assert await push_place(world, device, team, f"{analyzed} {device.device_name}") == "ok"
            assert await read(world) - before < 100
    assert await push_place(world, first, team, "gone 7") == "conflict"
    assert await push_place(world, second, team, "gone 8") == "conflict"
