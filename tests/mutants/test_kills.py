"""The shortest tests of what the mutants break, where no other test is as short."""

from uuid import uuid4

import psycopg

from tests.engine.world import World, item, update


async def test_what_commits_late_still_comes(world: World) -> None:
    """A transaction that began before a pull and commits after it has a lower number than what the device has seen."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    with psycopg.connect(world.url) as conn:
        conn.execute("INSERT INTO demo.items (team_id, title) VALUES (%s, 'late')", [team])
        await world.push(claims, item(team, title="early"))
        replica = await world.sync(claims)
        assert [row["title"] for row in replica.payloads("item").values()] == ["early"]
    await world.sync(claims, replica)
    assert sorted(row["title"] for row in replica.payloads("item").values()) == ["early", "late"]


async def test_a_batch_sent_twice_is_applied_once(world: World) -> None:
    """Its items have no keys of their own: only the batch's token can tell."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    first = await world.push(claims, item(team), item(team), batch_token="one")
    assert [result["status"] for result in first] == ["ok", "ok"]
    assert await world.push(claims, item(team), item(team), batch_token="one") == first
    assert len((await world.sync(claims)).payloads("item")) == 2


async def test_a_batch_begun_again_is_still_its_own(world: World) -> None:
    """The fast way fails at the second item; the careful way must find the batch as if it had never been begun."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    results = await world.push(claims, item(team), item(team, title="indecent"), batch_token="one")
    assert [(result["status"], result.get("code")) for result in results] == [("ok", None), ("error", "check_failed")]
    assert len((await world.sync(claims)).payloads("item")) == 1


async def test_an_item_sent_again_makes_no_second_row(world: World) -> None:
    team = await world.team()
    claims = await world.person("WORKER", team)
    first = await world.push(claims, item(team, "a"))
    assert await world.push(claims, item(team, "a")) == first
    assert len((await world.sync(claims)).payloads("item")) == 1


async def test_what_others_wrote_since_the_base_is_met(world: World) -> None:
    team = await world.team()
    claims, other = await world.person("WORKER", team), await world.person("WORKER", team)
    row = (await world.push(claims, item(team)))[0]["server_id"]
    await world.push(other, update("item", row, 1, title="theirs"))
    results = await world.push(claims, update("item", row, 1, title="mine"))
    assert [(result["status"], result.get("code")) for result in results] == [("conflict", "version_conflict")]
    assert (await world.sync(claims)).payloads("item")[row]["title"] == "theirs"


async def test_what_the_device_wrote_itself_is_not(world: World) -> None:
    """Two batches sent on one base: the second was made before the answer to the first came."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    row = (await world.push(claims, item(team)))[0]["server_id"]
    for title in ("first", "second"):
        results = await world.push(claims, update("item", row, 1, title=title))
        assert [result["status"] for result in results] == ["ok"]
    assert (await world.sync(claims)).payloads("item")[row]["title"] == "second"


async def test_what_cannot_be_seen_cannot_be_referred_to(world: World) -> None:
    """The answer is the one for a row that does not exist."""
    own, foreign = await world.team(), await world.team()
    claims, stranger = await world.person("WORKER", own), await world.person("WORKER", foreign)
    theirs = (await world.push(stranger, item(foreign)))[0]["server_id"]
    results = await world.push(claims, item(own, parent_id=theirs), item(own, parent_id=str(uuid4())))
    assert [(result["status"], result.get("code")) for result in results] == [("error", "fk_missing")] * 2
    assert results[0]["error"] == results[1]["error"]


async def test_what_an_effect_refuses_is_not_written(world: World) -> None:
    team = await world.team()
    claims = await world.person("WORKER", team)
    results = await world.push(claims, item(team), item(team, title="refused by effect"))
    assert [result["status"] for result in results] == ["ok", "error"]
    assert [row["title"] for row in (await world.sync(claims)).payloads("item").values()] == ["an item"]
