"""Messages on the web: send, inbox, conversations, read, search, and who may see what."""

from uuid import uuid4

import psycopg
import pytest

from tests.apps.messaging.scene import inbox, ok, one, order_of, problem, push, push_message, send


@pytest.fixture(scope="module")
def server(module_server):
    return module_server


@pytest.fixture(scope="module")
def settings(module_settings):
    return module_settings


@pytest.fixture
def people(new_person, request):
    """Three web users of this test alone."""
    name = request.node.name[:40].lower()
    return [new_person(f"{who}-{name}") for who in ("ann", "bob", "cyd")]


def test_a_message_arrives_in_the_inbox_and_is_read_there(people) -> None:
    ann, bob, _ = people
    sent = send(ann, bob, "Is the ferry running?")
    assert sent == {
        "id": sent["id"],
        "sender_id": ann.id,
        "recipient_id": bob.id,
        "content": "Is the ferry running?",
        "status": "synced",  # Bob has no phone: it is where he reads it
        "created_at": sent["created_at"],
        "updated_at": sent["created_at"],
        "synced_at": sent["created_at"],
        "read_at": None,
        "written_at": sent["written_at"],
        "server_version": 1,
        "sender_username": ann.user["username"],
        "recipient_username": bob.user["username"],
    }
    assert inbox(bob) == [sent]
    assert inbox(ann) == []
    assert inbox(ann, box="sent") == [sent]
    assert ok(bob.http.get("/api/v1/messages/unread-count")) == {"unread_count": 1}
    read = ok(bob.http.post(f"/api/v1/messages/{sent['id']}/read"))
    assert (read["status"], read["server_version"]) == ("read", 2)
    assert sent["created_at"] < read["read_at"] == read["updated_at"]
    assert read["synced_at"] == sent["synced_at"]
    assert ok(bob.http.post(f"/api/v1/messages/{sent['id']}/read")) == read
    assert ok(bob.http.get("/api/v1/messages/unread-count")) == {"unread_count": 0}
    assert one(ann, sent) == read


def test_nobody_else_sees_it_and_only_the_recipient_reads_it(people, owner) -> None:
    ann, bob, cyd = people
    sent = send(ann, bob)
    for other in (cyd, owner):  # not the office either: letters are private
        problem(other.http.get(f"/api/v1/messages/{sent['id']}"), 404, "not_found")
        problem(other.http.post(f"/api/v1/messages/{sent['id']}/read"), 404, "not_found")
        assert ok(other.http.post("/api/v1/messages/read", json={"ids": [sent["id"]]})) == {"read": 0}
        assert inbox(other, **{"with": ann.id}) == []
    problem(ann.http.post(f"/api/v1/messages/{sent['id']}/read"), 403, "forbidden")
    assert ok(ann.http.post("/api/v1/messages/read", json={"ids": [sent["id"]]})) == {"read": 0}
    assert one(bob, sent) == sent
    more = [send(ann, bob, str(n))["id"] for n in range(3)]
    assert ok(bob.http.post("/api/v1/messages/read", json={"ids": [sent["id"], *more, str(uuid4())]})) == {"read": 4}
    assert {message["status"] for message in inbox(bob)} == {"read"}


def test_the_inbox_is_paged_newest_first(people) -> None:
    ann, bob, cyd = people
    contents = [str(n) for n in range(7)]
    for n in contents:
        send(ann if int(n) % 2 else cyd, bob, n)
    pages, after = [], None
    while True:
        page = ok(bob.http.get("/api/v1/messages", params={"limit": 3} | ({"after": after} if after else {})))
        pages.append([message["content"] for message in page["items"]])
        after = page["next"]
        if len(pages) == 1:
            send(ann, bob, "new")  # what arrives meanwhile moves nothing to another page
        if after is None:
            break
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    problem(bob.http.get("/api/v1/messages", params={"after": "x"}), 400, "invalid_parameter")
    unreadable = problem(bob.http.get("/api/v1/messages", params={"with": "x"}), 400, "invalid_parameter")
    assert unreadable["detail"] == "with: Invalid UUID"
    assert [m["content"] for m in inbox(bob, status="unread", limit=2)] == ["new", "6"]
    assert [m["content"] for m in inbox(bob, status="read")] == []


def test_a_conversation_is_both_directions(people) -> None:
    ann, bob, cyd = people
    for sender, recipient, content in ((ann, bob, "1"), (bob, ann, "2"), (cyd, ann, "x"), (ann, bob, "3")):
        send(sender, recipient, content)
    assert [m["content"] for m in inbox(ann, **{"with": bob.id})] == ["3", "2", "1"]
    assert inbox(bob, **{"with": ann.id}) == inbox(ann, **{"with": bob.id})
    first = ok(ann.http.get("/api/v1/messages", params={"with": bob.id, "limit": 2}))
    rest = ok(ann.http.get("/api/v1/messages", params={"with": bob.id, "limit": 2, "after": first["next"]}))
    assert [m["content"] for m in first["items"] + rest["items"]] == ["3", "2", "1"]
    assert rest["next"] is None
    note = send(ann, ann, "a note to myself")
    assert inbox(ann, **{"with": ann.id}) == [note]


def test_conversations_come_latest_first_with_what_is_unread(people) -> None:
    ann, bob, cyd = people
    send(bob, ann, "1")
    send(cyd, ann, "2")
    last = send(bob, ann, "3")
    mine = send(ann, cyd, "4")
    found = ok(ann.http.get("/api/v1/conversations"))
    assert found == {
        "items": [
            {"partner": partner(cyd), "last_at": mine["created_at"], "last_message": mine, "unread": 1},
            {"partner": partner(bob), "last_at": last["created_at"], "last_message": last, "unread": 2},
        ],
        "next": None,
    }
    page = ok(ann.http.get("/api/v1/conversations", params={"limit": 1}))
    rest = ok(ann.http.get("/api/v1/conversations", params={"limit": 1, "after": page["next"]}))
    assert page["items"] + rest["items"] == found["items"]


def partner(person) -> dict[str, object]:
    return {
        "id": person.id,
        "username": person.user["username"],
        "name": person.user["name"],
        "user_type": "web",
        "is_active": True,
        "online_status": False,
        "last_seen": None,
    }


def test_words_are_found(people) -> None:
    ann, bob, cyd = people
    send(ann, bob, "The generator on Dream island needs diesel.")
    send(ann, bob, "No diesel today, the ferry is late")
    send(bob, ann, "Diesel ordered")
    send(cyd, bob, "diesel? not me")

    def found(person, **params) -> list[str]:
        return [message["content"].split()[0] for message in inbox(person, **params)]

    assert found(bob, q="diesel") == ["diesel?", "No", "The"]
    assert found(bob, q="DIESEL -ferry", **{"with": ann.id}) == ["Diesel", "The"]
    assert found(bob, q='"dream island"') == ["The"]
    assert found(bob, q="ferry or dream") == ["No", "The"]
    assert found(ann, q="diesel", box="sent") == ["No", "The"]
    assert found(bob, q="dies") == []
    send(bob, bob, "Diesel: order twice as much")
    assert found(bob, q="diesel", **{"with": bob.id}) == ["Diesel:"]
    assert found(bob, q="diesel", **{"with": ann.id}) == ["Diesel", "No", "The"]
    assert found(ann, q="diesel", **{"with": bob.id}, status="unread") == ["Diesel", "No", "The"]
    assert found(bob, q="' & | ! <-> :*") == []
    problem(bob.http.get("/api/v1/messages", params={"q": "a\x00"}), 400, "invalid_parameter")


def test_what_cannot_be_sent(people, owner, settings) -> None:
    ann, bob, _ = people

    def refused(person, status, code, path=None, **body):
        found = problem(person.http.post("/api/v1/messages", json=body), status, code)
        assert found.get("path") == path

    refused(ann, 422, "fk_missing", "/recipient_id", recipient_id=str(uuid4()), content="x")
    refused(ann, 422, "check_failed", "/content", recipient_id=bob.id, content=" \n")
    refused(ann, 422, "invalid_envelope", None, recipient_id=bob.id, content="")
    refused(ann, 422, "invalid_envelope", None, recipient_id="bob", content="x")
    refused(ann, 422, "invalid_envelope", None, recipient_id=bob.id, content="x", sender_id=owner.id)
    refused(ann, 400, "invalid_json", None, recipient_id=bob.id, content="\x00")
    refused(ann, 413, "too_large", "/content", recipient_id=bob.id, content="€" * 30_000)
    ok(owner.http.patch(f"/api/v1/users/{bob.id}", json={"is_active": False}))
    refused(ann, 422, "fk_missing", "/recipient_id", recipient_id=bob.id, content="x")
    with psycopg.connect(settings.database_url) as conn:
        assert conn.execute("SELECT count(*) FROM messaging.messages WHERE sender_id = %s", [ann.id]).fetchone() == (0,)


def test_messages_of_one_batch_keep_their_order(people, new_person) -> None:
    ann, _, _ = people
    phone = new_person("dan-ordered", device_id="dans-phone")
    contents = [str(n) for n in range(60)]
    items = [push_message(n, ann.id, content) for n, content in enumerate(contents)]
    results = push(phone, *items[:50]) + push(phone, *items[50:])
    assert {result["status"] for result in results} == {"ok"}
    assert order_of(inbox(ann, limit=500)) == contents
    assert [m["content"] for m in inbox(ann, limit=500)] == contents[::-1]
