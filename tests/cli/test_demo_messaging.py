"""``homing demo`` with messaging: what it prints works, and the conversation proves what it says it proves."""

import json
import shutil
import subprocess

import msgspec
import psycopg
import pytest

from homing.cli import main
from homing.cli._demo import sample
from homing.cli._demo.conversation import CLOCKS, Outcome
from homing.cli._demo.office import OFFICE, PASSWORD
from homing.settings import Settings
from tests.fixtures.accounts import create_user


@pytest.fixture
def settings(database_url: str, tmp_path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=("fieldwork", "messaging"))


def test_the_things_to_try_with_messages_work_as_they_are_printed(server, settings, tmp_path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NOT TESTED: apt-get install curl")
    create_user(settings.database_url, OFFICE, "OWNER", "The office", PASSWORD)
    sample.fill(server.url)
    steps = sample.to_try(server.url)
    assert len(steps) == 7
    assert "Seven things to try" in sample.welcome(server.url)
    script = "\n".join(f"{{ {step.command}\n}} > {tmp_path}/{n}.out" for n, step in enumerate(steps))
    subprocess.run(["bash", "-eu", "-c", script], check=True, timeout=60)
    sent = json.loads((tmp_path / "5.out").read_text())
    synced, read = map(json.loads, (tmp_path / "6.out").read_text().splitlines())
    assert [each["status"] for each in (sent, synced, read)] == ["pending_sync", "synced", "read"]
    assert {each["id"] for each in (sent, synced, read)} == {sent["id"]}
    with psycopg.connect(settings.database_url) as conn:
        assert conn.execute("SELECT count(*) FROM messaging.messages").fetchone() == (5,)


def test_a_conversation_ends_with_every_message_once_and_every_phone_equal_to_its_scope(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "messaging", "--scenario", "--json"])
    outcome = msgspec.json.decode(capsys.readouterr().out, type=Outcome)
    assert (ended.value.code, outcome.ok, outcome.wrong) == (0, True, [])
    assert outcome.stored == outcome.written > 30
    assert outcome.stored - outcome.read == len(CLOCKS) - 1  # good night, to those who are still there
    assert outcome.lost_messages > 10
    assert [phone.phone for phone in outcome.phones if phone.wiped] == ["bens-phone"]
    assert all(phone.equal and phone.wrong == [] for phone in outcome.phones)
    assert all(phone.wrote > 0 and phone.read > 0 for phone in outcome.phones)
    assert all(phone.rows["message"] > 0 for phone in outcome.phones if not phone.wiped)
