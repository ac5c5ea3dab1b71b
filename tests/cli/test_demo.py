"""``homing demo``: what it prints works when it is pasted, and the season proves what it says it proves."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from homing.cli import main
from homing.cli._demo import sample
from homing.cli._demo.office import OFFICE, PASSWORD, at_desk
from homing.cli._demo.proof import SCOPES, prove
from homing.cli._demo.season import Outcome
from homing.client import Client, Replica
from tests.fixtures.accounts import create_user
from tests.fixtures.cluster import folder_in_memory


@pytest.fixture
def filled(server, settings) -> str:
    """A server with the demo's sample data; its URL."""
    create_user(settings.database_url, OFFICE, "OWNER", "The office", PASSWORD)
    sample.fill(server.url)
    return server.url


def test_the_five_things_to_try_work_as_they_are_printed(filled, tmp_path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NOT TESTED: apt-get install curl")
    steps = sample.to_try(filled)
    assert len(steps) == 5
    for step in steps:
        assert step.command in sample.welcome(filled)
    # One shell, as a person has one; the answers go to files.
    script = "\n".join(f"{{ {step.command}\n}} > {tmp_path}/{n}.out" for n, step in enumerate(steps))
    subprocess.run(["bash", "-eu", "-c", script], check=True, timeout=60)
    nests, pushed, refused, pulled, decided = ((tmp_path / f"{n}.out").read_text() for n in range(5))

    islands = [feature["properties"]["data"]["island"] for feature in json.loads(nests)["features"]]
    assert sorted(islands) == ["Dream"] * 3 + ["Torgersen"] * 3
    made, conflict = json.loads(pushed)["results"]
    assert (made["status"], conflict["status"], conflict["code"]) == ("ok", "conflict", "version_conflict")
    (refusal,) = json.loads(refused)["results"]
    assert (refusal["code"], refusal["path"], refusal["error"]) == (
        "invalid_value",
        "/data/body_mass_g",
        "/data/body_mass_g is less than the minimum of 2000",
    )
    changes = json.loads(pulled)["changes"]
    assert {change["payload"]["data"]["island"] for change in changes if change["resource_type"] == "submission"} == {
        "Torgersen"
    }
    resolved, meter = map(json.loads, decided.splitlines())
    assert resolved["resolution_action"] == "accept_client"
    assert (meter["id"], meter["reading"]) == (conflict["server_id"], 128)


def test_the_proof_sees_every_difference(filled, server, settings, tmp_path) -> None:
    """Without this, a proof that compares nothing with nothing would pass."""
    path = tmp_path / "replica.sqlite"
    with Client(Replica(path), filled) as client:
        user = client.login("ana", PASSWORD)["id"]
        client.register_device(device_type="tablet", os_version="1", app_version="1.0.0")
        assert client.sync().ok
    proof = prove(settings.database_url, user, path)
    assert proof.wrong == ()
    assert proof.rows == {
        "team": 1,
        "mobile_form": 2,
        "form_version": 2,
        "submission": 3,
        "submission_media": 0,
        "meter": 1,
    }
    assert proof.rows.keys() == SCOPES.keys()
    # Everybody else's eyes make another scope.
    with at_desk(filled) as desk:
        dora = next(each["id"] for each in desk.call("GET", "/users")["items"] if each["username"] == "dora")
        meter = desk.call("GET", "/meters")["items"][0]["id"]
    assert len(prove(settings.database_url, dora, path).wrong) == 10
    connection = sqlite3.connect(path)
    with connection:
        first, second, _third = (
            row[0] for row in connection.execute("SELECT id FROM _base WHERE resource_type = 'submission' ORDER BY id")
        )
        connection.execute("UPDATE _base SET payload = replace(payload, 'Adelie', 'Gentoo') WHERE id = ?", [first])
        connection.execute("DELETE FROM _base WHERE id = ?", [second])
        connection.execute("UPDATE _base SET version = version + 1 WHERE resource_type = 'team'")
        connection.execute("INSERT INTO _base VALUES ('meter', ?, 1, '{}')", [f"{meter[:-1]}x"])
        connection.execute("INSERT INTO _base VALUES ('secret', 'x', 1, '{}')")
    connection.close()
    wrong = prove(settings.database_url, user, path).wrong
    assert sorted(sentence.split(",")[0].partition(" is ")[0] for sentence in wrong) == sorted(
        [
            f"submission {first}",
            f"submission {second}",
            wrong[0].partition(" is ")[0],
            f"meter {meter[:-1]}x should have left",
            "secret: the replica holds 1 rows of it",
        ]
    )


def test_a_season_ends_with_every_replica_equal_to_its_scope(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--scenario", "--json"])
    outcome = msgspec.json.decode(capsys.readouterr().out, type=Outcome)
    assert ended.value.code == 0
    assert (outcome.ok, outcome.observations, outcome.stored) == (True, 344, 344)
    by_device = {device.device: device for device in outcome.devices}
    assert {name: device.wiped for name, device in by_device.items() if device.wiped} == {"toms-phone": True}
    assert all(device.equal and device.wrong == [] for device in outcome.devices)
    # And something happened: losses on every line, edits that met, a refusal, rows that left, photos.
    assert all(device.requests_lost + device.answers_lost > 0 for device in outcome.devices)
    assert (by_device["toms-phone"].merged, by_device["toms-phone"].conflicts) == (1, 1)
    assert (by_device["evas-phone"].merged, by_device["doras-tablet"].refused) == (1, 1)
    assert by_device["evas-phone"].removed > 50
    assert sum(device.photos for device in outcome.devices) == by_device["office-laptop"].rows["submission_media"] > 10
    assert by_device["office-laptop"].rows["submission"] == 344
    assert by_device["anas-tablet"].rows["submission"] == 52


def test_the_demo_starts_stops_and_keeps_its_data(tmp_path) -> None:
    seen = []
    with ExitStack() as stack:
        # Not pytest's folder: that is closed to PostgreSQL's user again by the next pytest that starts beside this one.
        folder = folder_in_memory("homing-demo-")
        stack.callback(shutil.rmtree, folder)
        data = folder / "demo"
        for _ in range(2):
            process = stack.enter_context(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        "from homing.cli import main; main()",
                        "demo",
                        "--data",
                        data,
                        "--port",
                        "0",
                    ],
                    stdout=subprocess.PIPE,
                    stderr=stack.enter_context((tmp_path / "log").open("w")),
                    text=True,
                    env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
                )
            )
            try:
                assert process.stdout is not None
                printed = []
                for line in process.stdout:
                    printed.append(line)
                    if line.startswith("Stop with Ctrl-C"):
                        break
                url = next(line.split()[-1] for line in printed if line.startswith("Homing serves"))
                with at_desk(url) as desk:
                    seen.append(desk.call("GET", "/submissions"))
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=60) == 0, (tmp_path / "log").read_text()[-5000:]
    assert len(seen[0]["items"]) == 8
    assert seen[0] == seen[1]
