"""Messages on phones: delivery by ack, reading offline, order, rights, contacts, and people who are deleted."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from tests.apps.messaging.scene import ack, enrolled, inbox, ok, one, order_of, problem, pull, push, push_message, send


@pytest.fixture
def phone(new_person, settings):
    """Pia, in the field, enrolled with a phone."""
    return enrolled(settings.database_url, new_person("pia", device_id="pias-phone"))


def of(changes, kind):
    return [change for change in changes if change["resource_type"] == kind]


def test_a_message_is_pending_until_the_phone_acks_and_read_when_it_is_read(owner, phone) -> None:
    sent = send(owner, phone, "Come home")
    assert (sent["status"], sent["synced_at"]) == ("pending_sync", None)
    assert ok(phone.http.get("/api/v1/mobile/messages/pending")) == {"items": [sent], "next": None}
    changes, token = pull(phone)
    (change,) = of(changes, "message")
    assert change["payload"] == {k: v for k, v in sent.items() if k not in ("server_version", *usernames(sent))}
    assert one(owner, sent) == sent  # being pulled is not being stored
    assert ack(phone, token) >= 1
    synced = one(owner, sent)
    assert (synced["status"], synced["server_version"], synced["read_at"]) == ("synced", 2, None)
    assert sent["created_at"] < synced["synced_at"] == synced["updated_at"]
    assert ok(phone.http.get("/api/v1/mobile/messages/pending"))["items"] == []
    # Read offline on the version it has, and once more.
    item = {"resource_type": "message", "action": "update", "client_version": 1, "payload": {"id": sent["id"]}}
    item["payload"]["status"] = "read"
    assert [r["status"] for r in push(phone, item) + push(phone, item)] == ["ok", "ok"]
    read = one(owner, sent)
    assert (read["status"], read["server_version"], read["synced_at"]) == ("read", 3, synced["synced_at"])
    assert synced["synced_at"] < read["read_at"]
    # What its own ack did is no conflict, not even a settled one.
    assert ok(owner.http.get("/api/v1/mobile/conflicts"))["items"] == []
    assert ok(phone.http.get("/api/v1/messages/unread-count")) == {"unread_count": 0}


def usernames(_sent):
    return ("sender_username", "recipient_username")


def test_an_ack_marks_what_its_snapshot_saw_and_nothing_later(owner, phone) -> None:
    first = send(owner, phone, "1")
    _, before = pull(phone)
    second = send(owner, phone, "2")
    assert ack(phone, before) >= 1
    assert [one(owner, m)["status"] for m in (first, second)] == ["synced", "pending_sync"]
    _, after = pull(phone, before)
    ack(phone, after)
    ack(phone, before)  # late on a slow line
    assert [one(owner, m)["status"] for m in (first, second)] == ["synced", "synced"]
    assert one(owner, second)["server_version"] == 2


def test_a_token_of_other_tables_marks_no_messages(owner, phone) -> None:
    sent = send(owner, phone)
    _, token = pull(phone, tables=["contact"])
    ack(phone, token)
    assert one(owner, sent)["status"] == "pending_sync"


def test_another_persons_ack_marks_nothing_of_mine(owner, phone, new_person, settings) -> None:
    sent = send(owner, phone)
    other = enrolled(settings.database_url, new_person("quin", device_id="quins-phone"))
    _, token = pull(other)
    ack(other, token)
    assert one(owner, sent)["status"] == "pending_sync"


def test_the_status_never_goes_backwards(owner, phone, settings) -> None:
    sent = send(owner, phone)
    ok(phone.http.post(f"/api/v1/messages/{sent['id']}/read"))
    read = one(owner, sent)
    assert read["synced_at"] == read["read_at"] > sent["created_at"]  # what was read has arrived
    _, token = pull(phone)
    ack(phone, token)
    assert one(owner, sent) == read
    with psycopg.connect(settings.database_url) as conn:
        for status in ("synced", "pending_sync"):
            conn.execute("UPDATE messaging.messages SET status = %s", [status])
        row = conn.execute("SELECT status, read_at IS NULL, synced_at IS NULL FROM messaging.messages").fetchone()
    assert row == ("read", False, False)
    older = {"resource_type": "message", "action": "update", "client_version": 1}
    (result,) = push(phone, {**older, "payload": {"id": sent["id"], "status": "synced"}})
    assert (result["status"], result["code"]) == ("error", "check_failed")


def test_who_may_do_what(owner, phone, new_person) -> None:
    sent = send(owner, phone)
    stranger = new_person("sam", device_id="sams-phone")

    def pushed(person, action, payload):
        item = {"resource_type": "message", "action": action, "client_version": 1, "payload": payload}
        (result,) = push(person, item)
        return result.get("code", "ok")

    read = {"id": sent["id"], "status": "read"}
    assert pushed(stranger, "update", read) == "not_found"
    assert pushed(owner_device(new_person), "update", read) == "forbidden"  # the sender does not read it for Pia
    assert pushed(phone, "update", {"id": sent["id"], "content": "x"}) == "read_only_column"
    assert pushed(phone, "delete", {"id": sent["id"]}) == "forbidden"
    assert (
        pushed(phone, "create", {"recipient_id": owner.id, "content": "x", "sender_id": owner.id}) == "read_only_column"
    )
    assert pushed(phone, "create", {"recipient_id": owner.id, "content": "x", "status": "read"}) == "read_only_column"
    assert pushed(phone, "create", {"recipient_id": str(uuid4()), "content": "x"}) == "fk_missing"
    assert pushed(phone, "create", {"content": "x"}) == "missing_value"
    assert pushed(phone, "create", {"recipient_id": owner.id, "content": "x"}) == "ok"
    assert one(owner, sent) == sent
    assert [m["content"] for m in inbox(owner)] == ["x"]


def owner_device(new_person):
    return new_person("olga@example.org", role="OWNER", device_id="olgas-laptop")


def test_messages_written_offline_keep_their_order_and_their_times(owner, phone) -> None:
    contents = [f"{n}" for n in range(12)]
    slow = timedelta(hours=2)  # the phone's clock, which it measures with every batch
    first = datetime.now(UTC) - timedelta(hours=1)
    items = [
        push_message(n, owner.id, content, edited_at=(first + timedelta(minutes=n) - slow).isoformat())
        for n, content in enumerate(contents)
    ]
    for part in (items[:5], items[5:6], items[6:]):
        assert {r["status"] for r in push(phone, *part, client_time=(datetime.now(UTC) - slow).isoformat())} == {"ok"}
    got = inbox(owner)
    assert order_of(got) == contents
    late = [
        datetime.fromisoformat(message["written_at"]) - first - timedelta(minutes=n)
        for n, message in enumerate(reversed(got))
    ]
    assert all(timedelta(0) <= each < timedelta(seconds=10) for each in late)


def test_phones_know_the_office_and_whom_they_wrote_with(owner, phone, new_person, settings) -> None:
    other = enrolled(settings.database_url, new_person("quin", device_id="quins-phone"))
    changes, token = pull(phone)

    def names(changes):
        return {c["payload"]["username"] for c in of(changes, "contact") if c["action"] != "delete"}

    assert names(changes) == {"olga@example.org", "pia"}
    assert {c["id"]: c["payload"] for c in of(changes, "contact")}[owner.id] == {
        "id": owner.id,
        "username": "olga@example.org",
        "name": "Olga",
        "user_type": "web",
        "is_active": True,
    }
    # A device of the office holds everybody.
    assert names(pull(owner_device(new_person))[0]) == {"olga@example.org", "pia", "quin"}
    send(other, phone, "It is me, Quin")
    changes, token = pull(phone, token)
    assert names(changes) == {"quin"}
    # Being seen or renamed: only the second is news.
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("UPDATE homing.users SET last_seen = now(), online_status = true")
    assert pull(phone, token) == ([], token)
    ok(owner.http.patch(f"/api/v1/users/{other.id}", json={"name": "Quentin"}))
    changes, token = pull(phone, token)
    assert [(c["action"], c["payload"]["name"]) for c in changes] == [("update", "Quentin")]
    found = ok(phone.http.get("/api/v1/contacts"))["items"]
    assert [(p["username"], p["online_status"]) for p in found] == [
        ("olga@example.org", True),
        ("pia", True),
        ("quin", True),
    ]
    assert [p["username"] for p in ok(owner.http.get("/api/v1/contacts?user_type=mobile&q=qu"))["items"]] == ["quin"]


def test_a_deleted_user_leaves_with_all_messages(owner, phone, new_person, settings) -> None:
    quin = enrolled(settings.database_url, new_person("quin", device_id="quins-phone"))
    kept = send(owner, phone, "stays")
    gone = [send(quin, phone, "from"), send(phone, quin, "to")]
    _, token = pull(phone)
    problem(phone.http.delete(f"/api/v1/users/{quin.id}"), 403, "forbidden")
    assert owner.http.delete(f"/api/v1/users/{quin.id}").status_code == 204
    problem(owner.http.delete(f"/api/v1/users/{quin.id}"), 404, "not_found")
    changes, token = pull(phone, token)
    assert sorted((c["resource_type"], c["action"], c["id"]) for c in changes) == sorted(
        [("message", "delete", m["id"]) for m in gone] + [("contact", "delete", quin.id)]
    )
    assert [m["id"] for m in inbox(phone)] == [kept["id"]]
    assert [c["partner"]["id"] for c in ok(phone.http.get("/api/v1/conversations"))["items"]] == [owner.id]
    # The phone of who was deleted is nobody's any more: it has to remove everything.
    for path in ("push", "pull", "ack"):
        body = {"push": {"items": []}, "pull": {"since_token": None}, "ack": {"ack_token": token}}[path]
        assert (
            problem(quin.http.post(f"/api/v1/mobile/sync/{path}", json=body), 403, "device_revoked")["action"] == "wipe"
        )
    devices = ok(owner.http.get("/api/v1/mobile/devices"))["items"]
    assert {(d["device_id"], d["status"], d["user_id"]) for d in devices} == {
        ("pias-phone", "active", phone.id),
        ("quins-phone", "revoked", None),
    }
    problem(owner.http.delete(f"/api/v1/users/{owner.id}"), 409, "state_conflict")  # the last of the office
