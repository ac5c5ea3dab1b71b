"""The contractor's week of the demo, played on a server of its own."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from homing.cli import main
from homing.cli._demo.crm import Outcome
from homing.cli._demo.crm_sample import fill
from homing.cli._demo.crm_trail import explain
from homing.cli._demo.office import Desk
from homing.settings import Settings


@pytest.fixture
def settings(database_url, tmp_path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=("crm",))


def test_a_week_ends_with_every_device_equal_and_a_trail_that_explains_every_row(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--scenario", "crm", "--json", "--seed", "2"])
    outcome = msgspec.json.decode(capsys.readouterr().out, type=Outcome)
    assert (ended.value.code, outcome.ok, outcome.unexplained) == (0, True, [])
    assert (outcome.customers, outcome.jobs, outcome.materials) == (60, 200, 2000)
    by_device = {device.device: device for device in outcome.devices}
    assert {name for name, device in by_device.items() if device.wiped} == {"doras-phone"}
    assert all(device.equal and device.wrong == [] for device in outcome.devices)
    # And something happened: losses, edits that met, a disagreement, refusals that are kept, rows that left.
    assert sum(device.lost for device in outcome.devices) > 5
    assert sum(device.conflicts for device in outcome.devices) >= 1
    assert sum(device.merged for device in outcome.devices) >= 1
    assert by_device["bens-phone"].refused >= 10
    assert by_device["bens-phone"].removed > 50
    laptop = by_device["office-laptop"].rows
    assert (laptop["customer"], laptop["job"], laptop["material"]) == (60, 200, 2000)


def test_the_trail_is_seen_to_lack_what_it_lacks(owner, worker, settings) -> None:
    """What the week proves is worth something only if a gap would be seen."""
    fill(Desk(owner.http), {"ana": worker.id, "ben": worker.id})
    told = explain(settings.database_url)
    assert (told.unexplained, dict(told.rows)) == ((), {"customer": 3, "job": 3, "job_assignment": 3, "material": 8})
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("ALTER TABLE crm.materials DISABLE TRIGGER keep_activity_update")
        conn.execute("UPDATE crm.materials SET item_name = 'Steel posts' WHERE item_name = 'Posts'")
        conn.execute("ALTER TABLE crm.materials ENABLE ALWAYS TRIGGER keep_activity_update")
        conn.execute(
            "DELETE FROM crm.activity_logs WHERE entity_type = 'customer' AND details -> 'new' ->> 'name' ~ '^Ada'"
        )
    missing, changed = sorted(explain(settings.database_url).unexplained, reverse=True)
    assert missing.startswith("the trail does not tell of customer ")
    assert "Steel posts" in changed
