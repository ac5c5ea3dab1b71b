"""From a notification to a device: once, in time, to whoever still has it, and what is said of those that failed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from homing.accounts import presence
from homing.jobs import Task
from homing.jobs.worker import Worker
from homing.notify import Kind
from homing.notify.carriers import Carriers
from homing.notify.deliver import TAKEN_SECONDS, TRIES, deliver, hand_out, take
from homing.notify.notify import TASK
from homing.notify.receipts import ask_receipts
from homing.postgres.database import Database
from homing.server.tasks import NOTIFY
from homing.settings import Settings
from tests.notify.browser import Browser
from tests.notify.scene import Scene
from tests.notify.vendors import NEVER, Reply, Secrets

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GREETING = Kind(name="greeting", title="Hello", body="It is a new day.", preference=None)


async def test_each_device_by_its_own_carrier(scene: Scene) -> None:
    ann, ben, cas = [await scene.person(name) for name in ("ann", "ben", "cas")]
    browser = Browser(f"{scene.vendors.url}/browser/{uuid4()}")
    await scene.device(ann, "fcm:ann", "android", name="anns-phone")
    await scene.device(ann, browser.text, "web")
    await scene.device(ben, "ab" * 32, "ios")
    await scene.device(cas, "ExpoPushToken[cas]", "ios")
    await scene.tell(ann, ben, cas, job=42)
    done = await scene.deliver()
    assert (done.notifications, done.became, done.failures) == (3, {"sent": 4}, {})
    (fcm,), (apns,), (expo,) = scene.vendors.sent("/v1"), scene.apple.seen, scene.vendors.sent("/expo/send")
    (pushed,) = scene.vendors.sent("/browser")
    ids = dict(await scene.rows("SELECT user_id, id::text FROM homing.push_notifications"))

    def data(user: Any) -> dict[str, str]:
        return {"job_id": "42", "notification_id": ids[user], "type": "job_match"}

    assert fcm.json["message"]["data"] == data(ann)
    assert json.loads(browser.read(pushed.body))["data"] == data(ann)
    assert {name: value for name, value in apns.json.items() if name != "aps"} == data(ben)
    assert [each["data"] for each in expo.json] == [data(cas)]
    assert [status for _, status, _ in await scene.deliveries()] == ["sent"] * 4
    assert (await scene.deliver(after=DAY)).became == {}
    assert await scene.rows(
        "SELECT platform, provider_id, sent_at IS NOT NULL, device_id IS NOT NULL FROM homing.push_deliveries"
        " ORDER BY provider"
    ) == [
        ("ios", "a-1", True, False),
        ("ios", "ticket-ExpoPushToken[cas]", True, False),
        ("android", "projects/homing-test/messages/1", True, True),
        ("web", f"{scene.vendors.url}/message/1", True, False),
    ]


async def test_it_is_sent_later_when_the_service_says_so(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    busy = Reply(503, {"error": {"status": "UNAVAILABLE"}}, {"retry-after": "600"})
    scene.vendors.replies["fcm:ann"] = [busy, busy]
    await scene.tell(ann)
    assert (await scene.deliver()).became == {"pending": 1}
    ((task, status, at),) = await scene.jobs()
    assert (task, status, timedelta(minutes=10) <= at - scene.now < timedelta(minutes=11)) == (TASK, "todo", True)
    assert (await scene.deliver(after=9 * MINUTE)).became == {}
    assert (await scene.deliver(after=2 * MINUTE)).became == {"pending": 1}
    assert (await scene.deliver(after=HOUR)).became == {"sent": 1}
    assert await scene.deliveries() == [("fcm:ann", "sent", 3)]
    assert len(scene.vendors.sent("/v1")) == 3


async def test_pauses_grow_and_end(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    scene.vendors.replies["fcm:ann"] = [Reply(500, b"oops")] * 20
    await scene.tell(ann)
    pauses = []
    while not (done := await scene.deliver()).failures:
        assert done.became == {"pending": 1}
        ((due,),) = await scene.rows("SELECT not_before FROM homing.push_deliveries")
        pauses.append((due - scene.now).total_seconds())
        scene.now = due
    assert len(pauses) == TRIES - 1
    for pause, expected in zip(pauses, [10, 40, 160, 640, 2560, 3600, 3600], strict=True):
        assert 0.75 * expected <= pause <= 1.25 * expected + 5
    assert (done.became, done.failures) == ({"failed": 1}, {"fcm: 500 oops": 1})
    assert await scene.rows("SELECT status, error FROM homing.push_deliveries") == [("failed", "fcm: 500 oops")]


async def test_what_is_old_news_is_not_sent(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    await scene.tell(ann)
    assert (await scene.deliver(after=DAY + MINUTE)).became == {"failed": 1}
    assert scene.vendors.seen == []
    assert await scene.rows("SELECT error FROM homing.push_deliveries") == [("it took too long",)]


@pytest.mark.parametrize("text", ["fcm:ann", "ab" * 32, "ExpoPushToken[ann]", "browser"])
async def test_dead_tokens_are_forgotten(scene: Scene, text: str) -> None:
    ann = await scene.person("ann")
    browser = Browser(f"{scene.vendors.url}/browser/1")
    await scene.device(ann, browser.text if text == "browser" else text, "ios", name="anns-phone")
    scene.vendors.replies["fcm:ann"] = [Reply(404, {"error": {"details": [{"errorCode": "UNREGISTERED"}]}})]
    scene.apple.replies["ab" * 32] = [Reply(410, {"reason": "Unregistered"})]
    scene.vendors.replies["/browser/1"] = [Reply(410)]
    gone = {"status": "error", "message": "", "details": {"error": "DeviceNotRegistered"}}
    scene.vendors.replies["ExpoPushToken[ann]"] = [Reply(200, gone)]
    await scene.tell(ann)
    await scene.tell(ann, job=2)
    assert (await scene.deliver()).became.total() == 2
    found = await scene.deliveries()
    assert ({address for address, _, _ in found}, "gone" in {status for _, status, _ in found}) == ({None}, True)
    assert await scene.rows("SELECT device_tokens FROM homing.users") == [([],)]
    assert await scene.rows("SELECT push_token FROM homing.mobile_devices") == [(None,)]


async def test_a_token_that_was_registered_again_is_alive(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "ab" * 32, "ios")
    since = int((scene.now - DAY).timestamp() * 1000)
    scene.apple.replies["ab" * 32] = [Reply(410, {"reason": "Unregistered", "timestamp": since})]
    await scene.tell(ann)
    assert (await scene.deliver()).became == {"gone": 1}
    assert [address for address, _, _ in await scene.deliveries()] == ["ab" * 32]


async def test_of_what_collapses_a_device_gets_the_newest(scene: Scene) -> None:
    ann, ben = await scene.person("ann"), await scene.person("ben")
    await scene.device(ann, "fcm:ann", "android")
    await scene.device(ben, "fcm:ben", "android")
    for job in (1, 2, 3):
        await scene.tell(ann, job=job, collapse=7)
    await scene.tell(ann, job=4, collapse=8)
    await scene.tell(ann, job=5)
    await scene.tell(ben, job=6, collapse=7)
    assert (await scene.deliver()).became == {"superseded": 2, "sent": 4}
    sent = {each.json["message"]["data"]["job_id"] for each in scene.vendors.sent("/v1")}
    assert sent == {"3", "4", "5", "6"}


async def test_an_older_one_that_waits_is_not_sent_after_a_newer_one(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    scene.vendors.replies["fcm:ann"] = [Reply(500)]
    await scene.tell(ann, job=1, collapse=7)
    await scene.deliver()
    await scene.tell(ann, job=2, collapse=7)
    assert (await scene.deliver()).became == {"sent": 1}
    assert (await scene.deliver(after=HOUR)).became == {"superseded": 1}


async def connect(scene: Scene, session: Any) -> Any:
    """The session has a live connection to some node."""
    node = uuid4()
    async with scene.db.transaction() as conn:
        await presence.beat(conn, node)
        await presence.arrive_sessions(conn, node, [session])
    return node


async def test_who_is_connected_is_left_alone(scene: Scene) -> None:
    ann = await scene.person("ann")
    phone = await scene.device(ann, "fcm:phone", "android", name="anns-phone")
    await scene.device(ann, "fcm:tablet", "android", name="anns-tablet")
    await connect(scene, phone.session_id)
    await scene.tell(ann)
    assert (await scene.deliver()).became == {"held": 1, "sent": 1}
    assert [each.json["message"]["token"] for each in scene.vendors.sent("/v1")] == ["fcm:tablet"]
    assert (await scene.deliver(after=2 * MINUTE)).became == {"quiet": 1}
    assert await scene.deliveries() == [("fcm:phone", "quiet", 0), ("fcm:tablet", "sent", 1)]


async def test_who_was_not_really_there_is_told_after_all(scene: Scene) -> None:
    """Its signal was lost, and the server noticed only then."""
    ann = await scene.person("ann")
    phone = await scene.device(ann, "fcm:phone", "android")
    node = await connect(scene, phone.session_id)
    await scene.tell(ann)
    assert (await scene.deliver()).became == {"held": 1}
    async with scene.db.transaction() as conn:
        await presence.depart_sessions(conn, node, [phone.session_id])
    assert (await scene.deliver(after=2 * MINUTE)).became == {"sent": 1}


async def test_a_node_that_died_says_nothing(scene: Scene) -> None:
    ann = await scene.person("ann")
    phone = await scene.device(ann, "fcm:phone", "android")
    await connect(scene, phone.session_id)
    await scene.rows("UPDATE homing.live_nodes SET seen_at = now() - interval '1 minute' RETURNING 1")
    await scene.tell(ann)
    assert (await scene.deliver()).became == {"sent": 1}


@pytest.mark.parametrize(
    ("happened", "became"),
    [
        ("UPDATE homing.push_notifications SET read_at = now() RETURNING 1", "quiet"),
        ("UPDATE homing.sessions SET revoked_at = now() RETURNING 1", "gone"),
        ("UPDATE homing.sessions SET expires_at = now() - interval '1 second' RETURNING 1", "gone"),
        ("UPDATE homing.users SET is_active = false RETURNING 1", "gone"),
        ("UPDATE homing.mobile_devices SET status = 'suspended' RETURNING 1", "gone"),
        ("DELETE FROM homing.push_tokens RETURNING 1", "gone"),
    ],
)
async def test_what_happens_before_it_is_sent_counts(scene: Scene, happened: str, became: str) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android", name="anns-phone")
    await scene.tell(ann)
    scene.vendors.replies["fcm:ann"] = [Reply(500)]
    assert (await scene.deliver()).became == {"pending": 1}
    await scene.rows(happened)
    assert (await scene.deliver(after=HOUR)).became == {became: 1}
    assert len(scene.vendors.sent("/v1")) == 1


async def test_a_token_that_moved_to_another_person_gets_nothing_of_the_first(scene: Scene) -> None:
    ann, ben = await scene.person("ann"), await scene.person("ben")
    await scene.device(ann, "fcm:shared", "android")
    await scene.tell(ann)
    scene.vendors.replies["fcm:shared"] = [Reply(500)]
    await scene.deliver()
    await scene.device(ben, "fcm:shared", "android")
    assert (await scene.deliver(after=HOUR)).became == {"gone": 1}


async def test_two_workers_never_send_one_twice(database_url: str, scene: Scene) -> None:
    """Both take, send and settle at the same time, several hundred to many people, in parts."""
    people = [await scene.person(f"person{n}") for n in range(40)]
    for n, person in enumerate(people):
        await scene.device(person, f"fcm:{n}", "android")
    for job in range(12):
        await scene.tell(*people, job=job)
    other = Database(database_url, pool_size=4)
    await other.open()
    try:
        done = await asyncio.gather(
            *(deliver(db, scene.carriers, now=scene.now) for db in (scene.db, other, scene.db, other))
        )
    finally:
        await other.close()
    assert sum(each.became["sent"] for each in done) == 480
    sent = [
        (message["token"], message["data"]["job_id"])
        for each in scene.vendors.sent("/v1")
        for message in [each.json["message"]]
    ]
    assert (len(sent), len(set(sent))) == (480, 480)
    assert {(status, attempts) for _, status, attempts in await scene.deliveries()} == {("sent", 1)}


async def test_what_a_worker_took_and_never_settled_is_sent_when_it_is_given_up(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    await scene.tell(ann)
    await hand_out(scene.db, now=scene.now)
    (taken,), _ = await take(scene.db, now=scene.now)
    assert (taken.address, taken.attempt) == ("fcm:ann", 1)
    assert (await scene.deliver(after=MINUTE)).became == {}
    assert (await scene.deliver(after=timedelta(seconds=TAKEN_SECONDS))).became == {"sent": 1}
    assert await scene.deliveries() == [("fcm:ann", "sent", 2)]


async def test_a_worker_that_is_told_to_stop_writes_down_what_was_answered(
    scene: Scene, push_settings: tuple[Settings, Secrets]
) -> None:
    ann = await scene.person("ann")
    for name in ("first", "second", "third"):
        await scene.device(ann, f"fcm:{name}", "android")
    await scene.tell(ann)
    scene.vendors.replies["fcm:second"] = [NEVER]
    one_by_one = Carriers(msgspec.structs.replace(push_settings[0], push_at_once=1))
    delivering = asyncio.create_task(deliver(scene.db, one_by_one, now=scene.now))
    assert await asyncio.to_thread(scene.vendors.hanging.wait, 20)
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    await one_by_one.close()
    assert await scene.deliveries() == [
        ("fcm:first", "sent", 1),
        ("fcm:second", "pending", 1),
        ("fcm:third", "pending", 1),
    ]
    assert (await scene.deliver(after=timedelta(seconds=TAKEN_SECONDS + 1))).became == {"sent": 2}


async def test_receipts_say_what_became_of_expos(scene: Scene) -> None:
    people = [await scene.person(name) for name in ("ann", "ben", "cas", "dan")]
    for number, person in enumerate(people):
        await scene.device(person, f"ExpoPushToken[{number}]", "ios")
    await scene.tell(*people)
    await scene.deliver()
    assert [(task, status) for task, status, _ in await scene.jobs()] == [("homing.notify_receipts", "todo")]

    def failed(error: str) -> dict[str, Any]:
        return {"status": "error", "message": "", "details": {"error": error}}

    async def ask(after: timedelta) -> dict[str, int]:
        scene.now += after
        return dict((await ask_receipts(scene.db, scene.carriers, now=scene.now)).became)

    said = {0: {"status": "ok"}, 1: failed("DeviceNotRegistered"), 2: failed("InvalidCredentials")}
    scene.vendors.receipts = {f"ticket-ExpoPushToken[{n}]": receipt for n, receipt in said.items()}
    assert await ask(10 * MINUTE) == {}
    assert await ask(10 * MINUTE) == {"delivered": 1, "gone": 1, "failed": 1}
    assert set(await scene.deliveries()) == {
        ("ExpoPushToken[0]", "delivered", 1),
        (None, "gone", 1),
        ("ExpoPushToken[2]", "failed", 1),
        ("ExpoPushToken[3]", "sent", 1),
    }
    scene.vendors.replies["/expo/getReceipts"] = [Reply(503)]
    assert await ask(20 * MINUTE) == {}
    scene.vendors.receipts = {"ticket-ExpoPushToken[3]": {"status": "ok"}}
    assert await ask(20 * MINUTE) == {"delivered": 1}
    asked = len(scene.vendors.sent("/expo/getReceipts"))
    assert await ask(DAY) == {}
    assert len(scene.vendors.sent("/expo/getReceipts")) == asked


async def test_a_receipt_that_never_comes_is_not_asked_for_for_ever(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "ExpoPushToken[1]", "ios")
    await scene.tell(ann)
    await scene.deliver()
    for _ in range(30):
        scene.now += HOUR
        await ask_receipts(scene.db, scene.carriers, now=scene.now)
    assert await scene.rows("SELECT status, receipt_at FROM homing.push_deliveries") == [("sent", None)]
    assert 20 <= len(scene.vendors.sent("/expo/getReceipts")) <= 25


def job_of(scene: Scene, note: Callable[..., None] = lambda *_: None) -> Worker[Any]:
    class Held:
        """What the task takes of a tenant."""

        class engine:  # noqa: N801
            owner = scene.db

        carriers = scene.carriers
        name = "default"

        @staticmethod
        def clock() -> Any:
            return scene.now

    run: Callable[[Any, Any], Awaitable[object]] = NOTIFY.run
    return Worker(
        owner=scene.db, tasks=[Task(name=NOTIFY.name, run=run)], context=Held(), clock=lambda: scene.now, note=note
    )


async def test_one_job_does_what_many_would(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    for job in range(20):
        await scene.tell(ann, job=job)
    tries: list[str] = []
    await job_of(scene, lambda _, outcome, __: tries.append(outcome)).drain()
    assert len(scene.vendors.sent("/v1")) == 20
    assert (set(tries), len(tries) <= 2) == ({"done"}, True)  # two workers of one process may begin at once
    assert await scene.rows("SELECT task_name FROM procrastinate.procrastinate_jobs WHERE scheduled_at IS NULL") == []


async def test_a_job_that_gave_up_says_so(scene: Scene) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    scene.vendors.replies["fcm:ann"] = [Reply(400, {"error": {"status": "INVALID_ARGUMENT", "message": "bad"}})]
    await scene.tell(ann)
    await scene.tell(ann)
    await job_of(scene).drain()
    assert await scene.rows(
        "SELECT j.status::text, f.error FROM procrastinate.procrastinate_jobs j"
        " JOIN homing.job_failures f ON f.job_id = j.id"
    ) == [
        (
            "failed",
            "HopelessError: 1 notifications were given up, 1 of them because: fcm: 400 INVALID_ARGUMENT: bad",
        )
    ]
    assert sorted(status for _, status, _ in await scene.deliveries()) == ["failed", "sent"]


async def test_without_services_it_is_written_down_and_logged(
    db: Database, scene: Scene, caplog: pytest.LogCaptureFixture, push_settings: tuple[Settings, Secrets]
) -> None:
    ann = await scene.person("ann")
    await scene.device(ann, "fcm:ann", "android")
    await scene.tell(ann, kind=GREETING)
    with caplog.at_level("INFO", logger="homing.notify"):
        done = await deliver(db, Carriers(Settings()), now=scene.now)
    assert done.became == {"logged": 1}
    assert [each.getMessage() for each in caplog.records] == [
        "no carrier for fcm: notification 1 (greeting) to token 1 stays here"
    ]
    assert "fcm:ann" not in caplog.text


async def test_statistics_of_empty_tables_mislead_nobody(scene: Scene) -> None:
    """As after everything was deleted and analysed: the planner takes a thousand rows for one."""
    async with scene.db.connection() as conn:
        await conn.execute("ANALYZE homing.push_deliveries, homing.push_notifications, homing.push_tokens")
    people = await scene.rows(
        "WITH people AS (INSERT INTO homing.users (username, name, role)"
        " SELECT 'person' || n, 'Person', 'WORKER' FROM generate_series(1, 1000) n RETURNING id),"
        " sessions AS (INSERT INTO homing.sessions (user_id, expires_at)"
        " SELECT id, now() + interval '1 day' FROM people RETURNING id, user_id)"
        " INSERT INTO homing.push_tokens (user_id, session_id, platform, provider, address)"
        " SELECT user_id, id, 'android', 'fcm', 'fcm:' || id FROM sessions RETURNING user_id"
    )
    await scene.tell(*(row[0] for row in people))
    async with asyncio.timeout(60):
        assert await hand_out(scene.db, now=scene.now) == 1000
        for _ in range(2):
            taken, _ = await take(scene.db, now=scene.now)
            assert len(taken) == 500
