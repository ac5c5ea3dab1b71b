"""The marketplace's days of the demo, played on a server and a push service of its own."""

from __future__ import annotations

import json
import shutil
import subprocess

import msgspec
import pytest

from homing.cli import main
from homing.cli._demo import sample
from homing.cli._demo.market import CARRIED, PEOPLE, Outcome
from homing.cli._demo.office import OFFICE, PASSWORD
from homing.cli.demo import APPS
from homing.settings import Settings
from tests.fixtures.accounts import create_user


@pytest.fixture
def settings(database_url: str, tmp_path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=APPS, payments="sandbox")


def test_the_things_to_try_with_all_applications_work_as_they_are_printed(server, settings, tmp_path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NOT TESTED: apt-get install curl")
    create_user(settings.database_url, OFFICE, "OWNER", "The office", PASSWORD)
    sample.fill(server.url)
    steps = sample.to_try(server.url)
    assert len(steps) == 9
    assert "Nine things to try" in sample.welcome(server.url)
    script = "\n".join(f"{{ {step.command}\n}} > {tmp_path}/{n}.out" for n, step in enumerate(steps))
    subprocess.run(["bash", "-eu", "-c", script], check=True, timeout=60)
    listed, paid = (json.loads((tmp_path / f"{n}.out").read_text()) for n in (7, 8))
    assert [job["title"] for job in listed["items"]] == ["Translate the season's report"]
    assert (paid["name"], paid["total_earnings_cents"]) == ("Ana", 12_000)


def test_the_marketplace_ends_with_every_device_equal_and_browsers_told(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--scenario", "marketplace", "--json", "--seed", "2"])
    outcome = msgspec.json.decode(capsys.readouterr().out, type=Outcome)
    assert (ended.value.code, outcome.ok) == (0, True)
    assert [device.device for device in outcome.devices] == list(CARRIED)
    assert all(device.equal and device.wrong == [] for device in outcome.devices)
    # And something happened: losses, edits that met, a disagreement, a proposal that came too late, rows that left.
    by_device = {device.device: device for device in outcome.devices}
    assert sum(device.lost for device in outcome.devices) > 5
    assert (by_device["fays-phone"].merged, by_device["fays-phone"].conflicts, outcome.decided) == (1, 1, 1)
    assert by_device["guss-phone"].refused == 1
    assert all(by_device[name].removed >= 1 for name in ("fays-phone", "fays-tablet", "finns-phone", "guss-phone"))
    assert all(device.rows["profile"] >= 3 and device.rows["job"] >= 4 for device in outcome.devices)
    assert (outcome.jobs, outcome.proposals, outcome.earned) == (24, 19, 21_000)
    # The specification's metrics, web against mobile: all of them, and of what happened here, what must come out.
    head, *lines = outcome.metrics
    metrics = {name: (web, mobile) for name, web, mobile in lines}
    assert (head, list(metrics)) == (
        ["metric", "web", "mobile"],
        ["requests", "response time, mean", "error rate", "sessions", "engagement: active users",
         "engagement: events a user", "conversion rate", "push delivery rate", "app crash rate",
         "offline sync success", "battery, percent an hour"],
    )  # fmt: skip
    assert (metrics["error rate"], metrics["push delivery rate"]) == (("0.0 %", "0.0 %"), ("100.0 %", "-"))
    assert (metrics["app crash rate"], metrics["battery, percent an hour"]) == (("-", "20.0 %"), ("-", "3.0"))
    assert all(float(found.removesuffix(" ms")) > 0 for found in metrics["response time, mean"])
    assert outcome.shown.keys() == set(PEOPLE)
    assert outcome.shown["fay"] >= 1
