"""``homing tenants``, as an operator types it, and what devices make of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from homing.cli import main
from homing.client import Client
from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD
from tests.fixtures.cluster import Cluster
from tests.fixtures.server import serving

Shell = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def settings(cluster: Cluster, new_database: Callable[..., str], tmp_path: Path) -> Settings:
    return Settings(database_url=new_database(), data_dir=tmp_path, pool_size=2, apps=("fieldwork",))


@pytest.fixture
def shell(
    settings: Settings, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """Runs ``homing … --json`` on the settings' server; exit status, what it printed, and its errors."""
    monkeypatch.setenv("HOMING_DATABASE_URL", str(settings.database_url))
    monkeypatch.setenv("HOMING_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("HOMING_APPS", ",".join(settings.apps))

    def run(*words: str, stdin: str = "") -> tuple[int, Any, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([*words, "--json"])
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), json.loads(out) if out else None, err

    return run


@pytest.fixture
def tenants(shell: Shell, cluster: Cluster) -> Any:
    """Creates tenants; their databases go with the test."""
    made: list[str] = []

    def create(name: str, *options: str) -> Any:
        status, shown, err = shell("tenants", "create", name, *options)
        assert status == 0, err
        made.append(shown["database"])
        return shown

    yield create
    for name in made:
        if "=" not in name:
            cluster.drop_database(cluster.url(name))


def rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as conn:
        cursor = conn.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def test_a_tenant_from_its_creation_to_its_end(
    shell: Shell, tenants: Any, cluster: Cluster, settings: Settings
) -> None:
    shown = tenants("acme", "--host", "Acme.example.org.", "--quota", "users=2")
    assert shown["status"] == "active"
    assert shown["database"] == f"{urlsplit(str(settings.database_url)).path[1:]}_acme"
    assert (shown["hosts"], shown["quotas"]) == (["acme.example.org"], {"users": 2})
    assert shell("tenants", "create", "acme")[0] == 1
    assert shell("tenants", "create", "beta", "--host", "acme.example.org")[2].startswith("already_exists")
    for name in ("default", "Acme", "a_b", "../acme", "a" * 41):
        assert shell("tenants", "create", name)[2].startswith("invalid_parameter"), name

    for login in ("ann", "bob"):
        assert shell("users", "create", "--login", login, "--role", "WORKER", "--tenant", "acme")[0] == 0
    status, _, err = shell("users", "create", "--login", "cas", "--role", "WORKER", "--tenant", "acme")
    assert (status, err.splitlines()[0]) == (1, "quota_exceeded: This tenant may have 2 users.")
    assert [each["username"] for each in shell("users", "list", "--tenant", "acme")[1]] == ["ann", "bob"]
    assert shell("migrate")[0] == 0
    assert shell("users", "list")[1] == []
    assert shell("users", "list", "--tenant", "nobody")[2].startswith("not_found")
    assert shell("tenants", "show", "acme")[1]["used"] == {"users": 2, "devices": 0, "rows": 0, "media_bytes": 0}
    assert shell("tenants", "set", "acme", "--quota", "users=", "--quota", "devices=1")[1]["quotas"] == {"devices": 1}
    assert shell("users", "create", "--login", "cas", "--role", "WORKER", "--tenant", "acme")[0] == 0

    assert shell("tenants", "set", "acme")[2].startswith("invalid_parameter: Say what to change")
    assert shell("tenants", "set", "acme", "--quota", f"users={2**53}")[2].startswith("invalid_parameter")
    assert shell("tenants", "set", "acme", "--host", "a b")[2].startswith("invalid_parameter")
    assert shell("tenants", "set", "acme", "--host", "")[1]["hosts"] == []

    assert shell("tenants", "suspend", "acme", "--reason", "unpaid")[1]["reason"] == "unpaid"
    assert shell("tenants", "suspend", "acme")[2].startswith("state_conflict")
    assert shell("tenants", "resume", "acme")[1]["status"] == "active"

    assert shell("tenants", "drop", "acme", stdin="no\n")[0] == 1
    assert shell("tenants", "list")[1][0]["name"] == "acme"
    assert shell("tenants", "drop", "acme", stdin="acme\n")[1] == {
        "name": "acme", "database": shown["database"], "kept": False
    }  # fmt: skip
    assert rows(cluster.admin, f"SELECT FROM pg_database WHERE datname = '{shown['database']}'") == []
    assert shell("tenants", "list")[1] == []
    assert shell("tenants", "show", "acme")[2].startswith("not_found")
    assert tenants("acme", "--host", "acme.example.org")["quotas"] == {}


def test_a_migration_of_all_goes_on_after_one_that_fails_and_can_be_repeated(
    shell: Shell, cluster: Cluster, settings: Settings, new_database: Callable[..., str]
) -> None:
    assert shell("migrate")[0] == 0
    urls = {name: new_database() for name in ("ada", "ben", "cleo")}
    with psycopg.connect(str(settings.database_url), autocommit=True) as conn:
        for name, url in urls.items():
            conn.execute(
                "INSERT INTO homing_control.tenants (name, database_name, status) VALUES (%s, %s, 'active')",
                [name, urlsplit(url).path[1:]],
            )
    rows(urls["ben"], "CREATE SCHEMA fieldwork")  # in the way of the application's first migration

    status, done, _ = shell("tenants", "migrate", "--all")
    assert (status, [(each["name"], each["state"]) for each in done]) == (
        1, [("ada", "done"), ("ben", "failed"), ("cleo", "done")]
    )  # fmt: skip
    assert done[1]["error"].startswith("fieldwork 0001")
    assert "already exists" in done[1]["error"]
    listed = {each["name"]: each for each in shell("tenants", "list")[1]}
    assert (listed["ben"]["schema_version"], listed["ben"]["last_error"]) == (None, done[1]["error"])
    assert listed["ada"]["schema_version"] == listed["cleo"]["schema_version"]

    assert shell("tenants", "migrate", "ben")[0] == 1
    rows(urls["ben"], "DROP SCHEMA fieldwork")
    status, done, _ = shell("tenants", "migrate", "--all")
    assert (status, {each["state"] for each in done}) == (0, {"done"})
    listed = {each["name"]: each for each in shell("tenants", "list")[1]}
    assert (listed["ben"]["schema_version"], listed["ben"]["last_error"]) == (listed["ada"]["schema_version"], None)
    assert shell("tenants", "migrate")[2].startswith("invalid_parameter")
    assert {each["state"] for each in shell("migrate", "status", "--tenant", "ben")[1]} == {"applied"}


def test_a_moved_tenant_is_another_epoch_and_its_devices_keep_their_outboxes(
    shell: Shell, tenants: Any, cluster: Cluster, settings: Settings, tmp_path: Path
) -> None:
    # The client calls the server by its address: as the tenant's host that stands for its name.
    before = cluster.url(tenants("acme", "--host", "127.0.0.1")["database"])
    shell("users", "create", "--login", "olga", "--role", "OWNER", "--tenant", "acme", stdin=f"{PASSWORD}\n")
    after = cluster.url("moved_acme")
    try:
        with serving(settings) as server:
            client = Client(tmp_path / "replica.db", server.url, rng=Random(1))
            client.login("olga", PASSWORD)
            client.register_device(device_type="tablet", os_version="1", app_version="1")
            client.sync()
            client.replica.create("team", {"name": "before"})
            assert client.sync(verify=True).ok
            client.replica.create("team", {"name": "in the outbox"})
            old_epoch = rows(before, "SELECT epoch FROM homing.epoch")

            status, moved, err = shell("tenants", "move", "acme", "--to", after)
            assert status == 0, err
            assert moved["rows"] > 0
            # Whatever this node still believes, nobody writes to the old place.
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                rows(before, "DELETE FROM fieldwork.teams")

            report = client.sync(verify=True)
            while not report.ok:
                report = client.sync(verify=True)
            assert sorted(row["name"] for row in client.replica.rows("team")) == ["before", "in the outbox"]
            assert client.replica.status().waiting == 0
            client.close()
            answer = httpx.get(f"{server.url}/api/v1/capabilities")
            assert answer.status_code == 200
        assert rows(before, "SELECT name FROM fieldwork.teams") == [("before",)]
        assert rows(after, "SELECT name FROM fieldwork.teams ORDER BY name") == [("before",), ("in the outbox",)]
        assert rows(after, "SELECT epoch FROM homing.epoch") != old_epoch
    finally:
        cluster.drop_database(after)


def test_a_move_that_fails_leaves_the_tenant_where_it_was(
    shell: Shell, tenants: Any, cluster: Cluster, settings: Settings, new_database: Callable[..., str]
) -> None:
    before = cluster.url(tenants("acme")["database"])
    full = new_database()
    rows(full, "CREATE TABLE public.there (id int)")
    status, _, err = shell("tenants", "move", "acme", "--to", full)
    assert (status, err) == (1, "state_conflict: The target database is not empty: it has public.there.\n")
    nowhere = urlsplit(full)._replace(query="host=/nowhere&port=1").geturl()
    assert shell("tenants", "move", "acme", "--to", nowhere)[2].startswith("unavailable")

    # What is no connection string at all changes nothing, and may be a password that slipped.
    for words in (["move", "acme", "--to"], ["create", "beta", "--at"]):
        status, _, err = shell("tenants", *words, "hunter2")
        assert (status, err.partition(":")[0], "hunter2" in err) == (1, "invalid_parameter", False)
    assert [each["name"] for each in shell("tenants", "list")[1]] == ["acme"]

    shown = shell("tenants", "show", "acme")[1]
    assert (shown["status"], shown["database"]) == ("active", urlsplit(before).path[1:])
    assert shown["last_error"].startswith("move: unavailable")
    assert rows(before, "SHOW default_transaction_read_only") == [("off",)]
    assert shell("users", "create", "--login", "ann", "--role", "WORKER", "--tenant", "acme")[0] == 0


def test_a_password_is_never_shown(shell: Shell, settings: Settings) -> None:
    assert shell("migrate")[0] == 0
    with psycopg.connect(str(settings.database_url), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO homing_control.tenants (name, database_url, status)"
            " VALUES ('acme', 'postgresql://me:hunter2@127.0.0.1:1/acme', 'active')"
        )
    for words in (["show", "acme"], ["list"], ["migrate", "acme"], ["suspend", "acme"], ["resume", "acme"]):
        status, out, err = shell("tenants", *words)
        assert "hunter2" not in f"{out} {err}", words
        assert status == (1 if words[0] == "migrate" else 0)
