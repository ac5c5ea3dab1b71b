"""Many callers asked about at once: those who may not go on are named, whatever their devices are called."""

from dataclasses import replace

from homing.engine.live_callers import Badge, Callers, ask
from tests.engine import yard

NAMES = ["plain", 'quo"te', "back\\slash", "{a,b}", "NULL", " ", "ünï", None]


async def test_whoever_fell_is_named_by_place(demo_url: str) -> None:
    async with yard.open_yard(demo_url) as world:
        team = await world.team()
        people = [await world.person("WORKER", team, device=False) for _ in NAMES]
        people = [replace(person, device_name=name) for person, name in zip(people, NAMES, strict=True)]
        for person in people:
            if person.device_name is not None:
                await world.execute(
                    "INSERT INTO homing.mobile_devices (device_id, user_id) VALUES (%s, %s)",
                    [person.device_name, person.user_id],
                )
        callers = Callers(world.engine.bound)
        async with world.engine.owner.connection() as conn:
            digests = [standing.digest.hex() for standing in await callers.standing(conn, people)]

            async def fallen(digests: list[str]) -> list[int]:
                return sorted(await callers.fallen(conn, ask([Badge.of(person) for person in people], digests)))

            assert await fallen(digests) == []
            await world.execute("UPDATE homing.mobile_devices SET status = 'revoked' WHERE device_id = %s", [NAMES[2]])
            await world.execute("UPDATE homing.sessions SET revoked_at = now() WHERE id = %s", [people[3].session_id])
            await world.execute("DELETE FROM homing.users WHERE id = %s", [people[4].user_id])
            digests[5] = "00" * 32  # other scopes
            people[6] = replace(people[6], role="OWNER")
            assert await fallen(digests) == [2, 3, 4, 5, 6]
            assert await fallen(["NULL"] * len(people)) == [2, 3, 4, 6]  # scopes do not matter here
            assert await fallen(["00" * 32] * len(people)) == list(range(len(people)))
            people[0] = replace(people[0], device_name=NAMES[1])  # another one's device
            assert await fallen(["NULL"] * len(people)) == [0, 2, 3, 4, 6]
