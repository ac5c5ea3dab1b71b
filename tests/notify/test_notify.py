"""A notification is there if and only if its cause is, for whoever wants it, in the words of its kind."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from homing.accounts import users
from homing.accounts.users import NewUser
from homing.notify import Kind, notify
from homing.postgres.database import Database

pytestmark = pytest.mark.anyio

MATCH = Kind(name="job_match", title="A new job", body="It matches you.", preference="jobMatches", ids=("job_id",))
NEWS = Kind(name="news", title="News", body="Something is new.", preference="marketing")
SAFETY = Kind(name="new_login", title="New sign-in", body="Was it you?", preference=None)


async def rows(db: Database, query: str) -> list[Any]:
    async with db.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def people(db: Database, *names: str) -> list[UUID]:
    new = [NewUser(login=name, name=name.title(), role="WORKER", password=None) for name in names]
    return [(await users.create(db, each, roles={"WORKER"})).id for each in new]


async def test_the_role_of_the_api_notifies_whoever_is_there_and_wants_it(database_url: str, db: Database) -> None:
    ann, ben, cas, gone = await people(db, "ann", "ben", "cas", "gone")
    await rows(db, f"UPDATE homing.users SET is_active = false WHERE id = '{gone}' RETURNING 1")
    await rows(
        db,
        "INSERT INTO homing.notification_preferences (user_id, job_matches, marketing)"
        f" VALUES ('{ben}', false, true) RETURNING 1",
    )
    job = uuid4()
    api = Database(database_url, options={"role": "homing_api"})
    await api.open()
    try:
        async with api.transaction() as conn:
            everybody = [ann, ben, cas, gone, ann, uuid4()]
            assert await notify(conn, MATCH, user_ids=everybody, data={"job_id": job}, collapse=job) == 2
            assert await notify(conn, NEWS, user_ids=everybody) == 1
            assert await notify(conn, SAFETY, user_ids=[ben]) == 1
            assert await notify(conn, NEWS, user_ids=[ann, cas]) == 0
        with pytest.raises(KeyError):
            async with api.transaction() as conn:
                await notify(conn, SAFETY, user_ids=everybody)
                raise KeyError
    finally:
        await api.close()
    made = await rows(
        db,
        "SELECT user_id, platform, notification_type, title, body, data, length(collapse), read_at, waiting"
        " FROM homing.push_notifications ORDER BY id",
    )
    about = {"job_id": str(job)}
    assert sorted(made[:2]) == sorted(
        (each, "web", "job_match", "A new job", "It matches you.", about, 24, None, True) for each in (ann, cas)
    )
    assert made[2:] == [
        (ben, "web", "news", "News", "Something is new.", {}, None, None, True),
        (ben, "web", "new_login", "New sign-in", "Was it you?", {}, None, None, True),
    ]
    assert (
        await rows(db, "SELECT task_name, args FROM procrastinate.procrastinate_jobs ORDER BY id")
        == [("homing.notify", {})] * 3
    )


@pytest.mark.parametrize(
    "private",
    [{"job_id": "Ann's salary"}, {"job_id": uuid4(), "note": uuid4()}, {}, {"job_id": True}, {"job_id": None}],
)
async def test_nothing_that_somebody_wrote_gets_into_one(db: Database, private: Any) -> None:
    (ann,) = await people(db, "ann")
    async with db.transaction() as conn:
        with pytest.raises(ValueError, match="job_match"):
            await notify(conn, MATCH, user_ids=[ann], data=private)
    assert await rows(db, "SELECT 1 FROM homing.push_notifications") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Job Match"},
        {"name": "x" * 51},
        {"title": ""},
        {"body": "x" * 201},
        {"ids": ("job id",)},
        {"preference": "jobs"},
    ],
)
def test_a_kind_is_made_of_words(wrong: dict[str, Any]) -> None:
    fitting = {"name": "news", "title": "News", "body": "Something is new.", "preference": "marketing"}
    with pytest.raises(ValueError, match=r"named|characters|preference"):
        Kind(**{**fitting, **wrong})
