"""Tokens: exact about what a snapshot sees, and worth nothing to anybody who alters or borrows one."""

import base64
import random
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.token import Minter, Place, Snapshot, Token
from tests.engine.world import KEYS, World, item

USER = UUID("8a0c4b0e-64ba-4a2c-9d9f-111111111111")
OTHER = {"other": b"another secret of 32 bytes, yes."}
BYTES_MAX = 16 * 2**10


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    xmin = draw(st.integers(3, 2**62))
    gaps = draw(st.lists(st.integers(1, 1000), max_size=8))
    running = [xmin] if gaps else []
    for gap in gaps[1:]:
        running.append(running[-1] + gap)
    return Snapshot(
        xmin, (running[-1] if running else xmin) + draw(st.integers(1 if running else 0, 99)), tuple(running)
    )


digests = st.none() | st.binary(min_size=32, max_size=32)
anything = st.builds(
    Token,
    epoch=st.uuids(),
    user=st.just(USER),
    since=st.none() | snapshots(),
    held=digests,
    possible=digests,
    until=st.none() | snapshots(),
    entering=digests,
    place=st.none()
    | st.builds(Place, st.integers(0, 99), st.text(), st.integers(0, 2**63), st.text(), st.integers(0, 9)),
    delivered=st.integers(0, 2**40),
    issued_at=st.integers(0, 2**40),
    tables=st.none() | st.lists(st.integers(1, 99)).map(tuple),
    span=st.integers(0, 2**40),
)


REFUSAL = ("invalid_token", Problem("invalid_token").detail)


def refused(text: str, *, user: UUID = USER) -> bool:
    """Whether ``text`` is answered as every token is that is not ours."""
    try:
        tokens.decode(text, KEYS, user=user, bytes_max=BYTES_MAX)
    except Problem as problem:
        return (problem.code.code, problem.detail) == REFUSAL
    return False


@given(anything)
def test_what_is_encoded_is_decoded(token: Token) -> None:
    assert tokens.decode(tokens.encode(token, KEYS), KEYS, user=USER, bytes_max=BYTES_MAX) == token


def test_no_bit_can_be_changed_no_byte_left_out_or_added() -> None:
    token = Token(
        epoch=uuid4(), user=USER, since=Snapshot(700, 720, (700, 705)), held=b"h" * 32, entering=b"e" * 32,
        until=Snapshot(800, 801, (800,)), place=Place(3, "key", 799, "row"), delivered=7, issued_at=1_700_000_000,
    )  # fmt: skip
    text = tokens.encode(token, KEYS)
    assert not refused(text)
    for index, character in enumerate(text):
        for bit in range(8):
            assert refused(text[:index] + chr(ord(character) ^ 1 << bit) + text[index + 1 :]), (index, bit)
        assert refused(text[:index])
        assert refused(text[:index] + text[index + 1 :])
        assert refused(text[:index] + "A" + text[index:])
    assert all(refused(text + more) for more in ("=", "==", "\n", " ", "A", "AAAA", "\x00", "é"))
    assert all(refused(other) for other in ("", "tok1_", "tok1", "tok2_" + text[5:], "null", "tok1_====", "tok1_é"))
    signed = text.removeprefix("tok1_")
    raw = base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
    for index in range(len(raw)):
        for bit in range(8):
            flipped = raw[:index] + bytes([raw[index] ^ 1 << bit]) + raw[index + 1 :]
            assert refused("tok1_" + base64.urlsafe_b64encode(flipped).decode().rstrip("=")), (index, bit)


def test_it_belongs_to_one_user_and_to_a_server_that_has_its_key() -> None:
    text = tokens.encode(Token(epoch=uuid4(), user=USER), KEYS)
    assert refused(text, user=uuid4())
    with pytest.raises(Problem, match="invalid_token"):
        tokens.decode(text, OTHER, user=USER, bytes_max=BYTES_MAX)
    # Keys are changed without signing anybody out: the new one signs, the old one still verifies.
    both = OTHER | KEYS
    assert tokens.decode(text, both, user=USER, bytes_max=BYTES_MAX).user == USER
    assert refused(tokens.encode(Token(epoch=uuid4(), user=USER), both))


def test_a_token_over_the_limit_is_not_even_looked_at() -> None:
    long = tokens.encode(Token(epoch=uuid4(), user=USER, place=Place(0, "k" * 2000, 1, "")), KEYS)
    with pytest.raises(Problem, match="invalid_token"):
        tokens.decode(long, KEYS, user=USER, bytes_max=len(long) - 1)
    assert tokens.decode(long, KEYS, user=USER, bytes_max=len(long)).place is not None


@given(snapshots())
def test_a_bounded_snapshot_sees_nothing_more(snapshot: Snapshot) -> None:
    bounded = snapshot.bounded(3)
    assert len(bounded.running) <= 3
    assert bounded == snapshot or len(snapshot.running) > 3
    for xid in (0, snapshot.xmin - 1, snapshot.xmin, snapshot.xmax - 1, snapshot.xmax, *snapshot.running):
        assert snapshot.sees(xid) or not bounded.sees(xid)


def test_what_a_snapshot_sees_is_what_postgres_says(demo_url: str) -> None:
    rng = random.Random(5)
    with psycopg.connect(demo_url) as conn:
        for _ in range(300):
            running = sorted(rng.sample(range(1000, 1060), rng.randrange(12)))
            low, high = (running[0], running[-1] + 1) if running else (1060, 1060)
            snapshot = Snapshot(low, high + rng.randrange(5), tuple(running)) if running else Snapshot(1060, 1060)
            xids = [rng.randrange(990, 1070) for _ in range(20)]
            said = conn.execute(
                "SELECT array_agg(pg_visible_in_snapshot(x::text::xid8, %s::pg_snapshot) ORDER BY n)"
                " FROM unnest(%s::int[]) WITH ORDINALITY AS u(x, n)",
                [str(snapshot), xids],
            ).fetchone()
            assert said is not None
            assert [snapshot.sees(xid) for xid in xids] == said[0]
            text = conn.execute("SELECT %s::pg_snapshot::text", [str(snapshot)]).fetchone()
            assert text is not None
            assert Snapshot.parse(text[0]) == snapshot


async def answers(world: World, claims: object, text: str) -> str:
    try:
        await world.page(claims, text)  # type: ignore[arg-type]
    except Problem as problem:
        return f"{problem.code.status} {problem.code.code} {problem.detail}"
    return "a page"


async def test_the_engine_answers_every_altered_or_foreign_token_alike(world: World) -> None:
    team = await world.team()
    one, two = await world.person("WORKER", team), await world.person("WORKER", team)
    await world.push(one, *(item(team) for _ in range(5)))
    complete = (await world.sync(one)).token
    paged = (await world.page(one, limit=2))["next_token"]
    assert complete is not None
    wanted = await answers(world, one, "tok1_nonsense")
    assert wanted == "400 {} {}".format(*REFUSAL)
    assert {await answers(world, two, text) for text in (complete, paged)} == {wanted}
    rng = random.Random(1)
    for text in (complete, paged):
        assert await answers(world, one, text) == "a page"
        for index in rng.sample(range(len(text)), 40):
            altered = text[:index] + chr(ord(text[index]) ^ 1 << rng.randrange(7)) + text[index + 1 :]
            assert await answers(world, one, altered) == wanted


async def test_a_token_goes_with_its_user_to_another_device(world: World) -> None:
    """A restored phone has a new device name and the old replica."""
    team = await world.team()
    one = await world.person("WORKER", team)
    replica = await world.sync(one)
    await world.push(one, item(team, title="new"))
    again = await world.sync(await world.another_device(one), replica)
    assert [row["title"] for row in again.payloads("item").values()] == ["new"]


async def test_tables_stay_the_same_along_a_chain(world: World) -> None:
    team = await world.team()
    one = await world.person("WORKER", team)
    narrow = (await world.page(one, tables=["item"]))["next_token"]
    assert (await world.page(one, narrow, tables=["item"]))["next_token"] == narrow
    assert (await world.page(one, narrow))["next_token"] == narrow
    with pytest.raises(Problem, match="invalid_envelope"):
        await world.page(one, narrow, tables=["team"])
    with pytest.raises(Problem, match="invalid_envelope"):
        await world.page(one, tables=["pg_authid"])


async def test_an_item_may_be_based_on_ones_own_token_only(world: World) -> None:
    team = await world.team()
    one, two = await world.person("WORKER", team), await world.person("WORKER", team)
    row = (await world.push(one, item(team)))[0]["server_id"]
    token, foreign = (await world.sync(one)).token, (await world.sync(two)).token

    def edit(base: object) -> dict[str, object]:
        payload = {"id": row, "title": "edited"}
        return {"resource_type": "item", "action": "update", "payload": payload, "base": {"token": base}}

    refusal = {"status": "error", "code": "invalid_value", "path": "/base/token"}
    for base in (foreign, "tok1_nonsense", True):
        result = (await world.push(one, edit(base)))[0]
        assert {name: result[name] for name in refusal} == refusal
    assert (await world.push(one, edit(token)))[0]["status"] == "ok"
    claims = replace(one)
    assert (await world.push(claims, edit(True), client_sync_token=(await world.sync(one)).token))[0]["status"] == "ok"


@pytest.mark.parametrize("tables", [None, (), (1, 200)])
@pytest.mark.parametrize("delivered", [0, 127, 128, 70_000, 2**40])
def test_a_minted_token_is_the_encoded_one(delivered: int, tables: tuple[int, ...] | None) -> None:
    keys = {"new": b"n" * 32, "old": b"o" * 32}
    token = Token(
        epoch=uuid4(), user=uuid4(), since=Snapshot(10, 90, (11, 50)), held=b"d" * 32,
        delivered=delivered, issued_at=1_700_000_000, tables=tables,
    )  # fmt: skip
    assert token.since is not None
    assert token.held is not None
    minter = Minter(
        keys, epoch=token.epoch, since=token.since, held=token.held, issued_at=token.issued_at, tables=tables
    )
    assert minter.mint(token.user.bytes, delivered).decode() == tokens.encode(token, keys)


def test_what_one_snapshot_sees_another_covers() -> None:
    earlier, later = Snapshot(10, 20, (12, 15)), Snapshot(12, 25, (12, 22))
    assert (later.covers(earlier), earlier.covers(later)) == (True, False)
    assert later.covers(later)
    assert not Snapshot(10, 25, (10, 22)).covers(earlier), "10 was visible before"
    for xid in range(30):
        assert later.sees(xid) or not earlier.sees(xid)
