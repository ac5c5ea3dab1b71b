"""A backup is proved by restoring it; a restore compares to the row, and begins an epoch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from homing.cli import main
from tests.fixtures.accounts import create_user
from tests.fixtures.cluster import Cluster

Homing = Callable[..., dict[str, Any]]


@pytest.fixture
def homing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
) -> Homing:
    """Runs ``homing … --json`` on the test's database; what it printed, or the status and what it complained of."""
    monkeypatch.setenv("HOMING_DATABASE_URL", database_url)
    monkeypatch.setenv("HOMING_DATA_DIR", str(tmp_path / "data"))

    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([*words, "--json"])
        out, err = capsys.readouterr()
        if exited.value.code:
            return {"status": exited.value.code, "err": err}
        found: dict[str, Any] = json.loads(out)
        return found

    return run


@pytest.fixture
def data(homing: Homing, database_url: str) -> str:
    """A database that was opened once, with two people and values of which text and storage differ."""
    homing("migrate")
    create_user(database_url, "olga@example.org", "OWNER")
    create_user(database_url, "wim", "WORKER")
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE public.odd AS SELECT 0.1::float8 + 0.2 AS f, now() AS t, '\\x00ff'::bytea AS b, 'é\n\"' AS s,"
            " interval '1 month 3 days' AS i, '{1,NULL}'::int[] AS a, 'NaN'::numeric AS n FROM generate_series(1, 3)"
        )
        conn.execute('CREATE TABLE public."Select" ("from" int)')
    return database_url


@pytest.fixture
def elsewhere(cluster: Cluster) -> Iterator[str]:
    """The URL of a database that is not there yet."""
    url = cluster.url("test_restored")
    yield url
    cluster.drop_database(url)


def databases(cluster: Cluster) -> set[str]:
    with psycopg.connect(cluster.admin) as conn:
        return {name for (name,) in conn.execute("SELECT datname FROM pg_database")}


def one(url: str, query: str) -> Any:
    with psycopg.connect(url) as conn:
        return conn.execute(query.encode()).fetchone()


def test_a_backup_is_restored_to_the_row(
    homing: Homing, data: str, elsewhere: str, cluster: Cluster, tmp_path: Path
) -> None:
    before, there = one(data, "SELECT epoch FROM homing.epoch"), databases(cluster)
    file = tmp_path / "one.dump"
    made = homing("backup", str(file))
    assert {name: made[name] for name in ("file", "bytes", "checked")} == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "checked": True,
    }
    assert made["media"] == f"not included: {tmp_path / 'data' / 'media'}"
    manifest = json.loads((tmp_path / "one.dump.json").read_text())
    assert manifest["tables"]["homing.users"]["rows"] == 2
    assert manifest["tables"]['public."Select"'] == {"rows": 0, "digest": "0"}
    assert (made["tables"], made["rows"]) == (
        len(manifest["tables"]),
        sum(each["rows"] for each in manifest["tables"].values()),
    )
    assert databases(cluster) == there
    only = homing("restore", str(file), "--check")
    expected = {"tables": made["tables"], "rows": made["rows"], "compared": True, "kept": None}
    assert only == {**expected, "epoch": None, "reason": None}
    assert databases(cluster) == there
    done = homing("restore", str(file), "--database-url", elsewhere)
    assert done == {
        **expected,
        "epoch": str(one(elsewhere, "SELECT epoch FROM homing.epoch")[0]),
        "reason": "another database",
    }
    assert one(data, "SELECT epoch FROM homing.epoch") == before != one(elsewhere, "SELECT epoch FROM homing.epoch")
    odd = "SELECT count(*), min(f), min(t), min(b::text), min(s), min(i), min(a), min(n)::text FROM public.odd"
    assert one(elsewhere, odd) == one(data, odd)


def test_what_is_there_is_kept_and_given_way_to(homing: Homing, data: str, cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "one.dump"
    homing("backup", str(file), "--no-check")
    create_user(data, "late", "WORKER")
    refused = homing("restore", str(file))
    assert (refused["status"], refused["err"].split(":")[0]) == (1, "state_conflict")
    assert one(data, "SELECT count(*) FROM homing.users") == (3,)
    with psycopg.connect(data) as connected:
        done = homing("restore", str(file), "--replace")
        with pytest.raises(psycopg.OperationalError):
            connected.execute("SELECT 1")
    assert done["compared"] is True
    assert done["reason"] == "another database"
    assert one(data, "SELECT count(*) FROM homing.users") == (2,)
    assert done["kept"].startswith(f"{urlsplit(data).path[1:]}_before_")
    kept = cluster.url(done["kept"])
    assert one(kept, "SELECT count(*) FROM homing.users") == (3,)
    cluster.drop_database(kept)


def test_what_is_damaged_is_not_restored(
    homing: Homing, data: str, elsewhere: str, cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "one.dump"
    homing("backup", str(file), "--no-check")
    whole, manifest = file.read_bytes(), file.with_name("one.dump.json")
    there = databases(cluster)
    file.write_bytes(whole[:-100])
    for words in (("--check",), ("--replace",)):
        refused = homing("restore", str(file), *words)
        assert refused["status"] == 1
        assert "SHA-256" in refused["err"]
    stated = json.loads(manifest.read_text())
    manifest.unlink()
    assert "pg_restore" in homing("restore", str(file), "--check")["err"]
    file.write_bytes(whole)
    assert homing("restore", str(file), "--check")["compared"] is False
    stated["tables"]["homing.users"]["digest"] = "1"
    manifest.write_text(json.dumps(stated))
    assert "homing.users" in homing("restore", str(file), "--replace")["err"]
    assert databases(cluster) == there
    assert one(data, "SELECT count(*) FROM homing.users") == (2,)


def test_a_backup_that_cannot_be_written_leaves_the_one_before(homing: Homing, data: str, tmp_path: Path) -> None:
    assert homing("backup", str(tmp_path / "no" / "where.dump"))["status"] == 1
    file = tmp_path / "one.dump"
    homing("backup", str(file), "--no-check")
    before = file.read_bytes()
    refused = homing("backup", str(file), "--no-check", "--database-url", data.replace("test_", "missing_"))
    assert refused["status"] == 1
    assert file.read_bytes() == before
    assert sorted(each.name for each in tmp_path.glob("one*")) == ["one.dump", "one.dump.json"]
