"""The second wall: for the API's role a message exists for its two people only, whatever a query forgot to say."""

from itertools import count

import psycopg
import pytest

from tests.apps.messaging.scene import inbox, send

STATEMENTS = {
    "read": "SELECT content FROM messaging.messages ORDER BY content",
    "change": "UPDATE messaging.messages SET content = upper(content) RETURNING lower(content)",
    "remove": "DELETE FROM messaging.messages RETURNING content",
}


NUMBERS = count(1)


@pytest.fixture(scope="module")
def server(module_server):
    return module_server


@pytest.fixture(scope="module")
def settings(module_settings):
    return module_settings


@pytest.fixture(scope="module")
def database_url(module_settings):
    return module_settings.database_url


@pytest.fixture
def three(new_person):
    """Ann and Bob wrote to each other, and Cyd to Ann."""
    number = next(NUMBERS)
    ann, bob, cyd = (new_person(f"{name}-{number}") for name in ("ann", "bob", "cyd"))
    send(ann, bob, "from ann to bob")
    send(bob, ann, "from bob to ann")
    send(cyd, ann, "from cyd to ann")
    return ann, bob, cyd


def as_api(database_url: str, actor: str | None, statement: str) -> list[str]:
    """What a statement without a WHERE reaches when it runs as the API does, on behalf of ``actor``."""
    with psycopg.connect(database_url) as conn:
        conn.execute("SET LOCAL ROLE homing_api")
        if actor is not None:
            conn.execute("SELECT set_config('homing.actor', %s, true)", [actor])
        found = sorted(row[0] for row in conn.execute(statement).fetchall())
        conn.rollback()
    return found


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_each_reaches_what_they_sent_or_received(three, database_url, statement) -> None:
    ann, bob, cyd = three
    everything = ["from ann to bob", "from bob to ann", "from cyd to ann"]
    assert as_api(database_url, ann.id, statement) == everything
    assert as_api(database_url, bob.id, statement) == everything[:2]
    assert as_api(database_url, cyd.id, statement) == everything[2:]


@pytest.mark.parametrize("actor", [None, "", "outside", "00000000-0000-4000-8000-000000000000"], ids=repr)
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_who_does_not_say_for_whom_reaches_nothing(three, database_url, actor, statement) -> None:
    assert as_api(database_url, three[0].id, statement) != []
    assert as_api(database_url, actor, statement) == []


def test_nobody_writes_in_the_name_of_others(three, database_url) -> None:
    ann, bob, cyd = three
    forged = (
        "INSERT INTO messaging.messages (sender_id, recipient_id, content)"
        f" VALUES ('{ann.id}', '{bob.id}', 'forged') RETURNING content"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        as_api(database_url, cyd.id, forged)
    assert as_api(database_url, ann.id, forged) == ["forged"]


def test_the_wall_is_not_in_the_way(three) -> None:
    ann, bob, _ = three
    assert sorted(message["content"] for message in inbox(ann)) == ["from bob to ann", "from cyd to ann"]
    assert [message["content"] for message in inbox(bob)] == ["from ann to bob"]
