"""``homing tenants move`` from one PostgreSQL to another, by somebody who owns the tables and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from homing.cli import main
from homing.postgres.embedded import embedded
from tests.fixtures.cluster import Cluster, folder_in_memory, make_quick

ROLES = """
    DO $$ BEGIN IF to_regrole('homing_api') IS NULL THEN CREATE ROLE homing_api NOLOGIN; END IF; END $$;
    CREATE ROLE moving_owner LOGIN CREATEDB;
    GRANT homing_api TO moving_owner
"""
"""As docs/how-to/connect-your-own-postgresql.md has it."""
WRITE = """
    INSERT INTO homing.users (username, name, role) VALUES ('olga', 'olga', 'OWNER'), ('wim', 'wim', 'WORKER');
    INSERT INTO messaging.messages (sender_id, recipient_id, content)
    SELECT o.id, w.id, 'between the two' FROM homing.users o, homing.users w
    WHERE o.username = 'olga' AND w.username = 'wim'
"""


def owned(url: str, database: str) -> str:
    """The URL of a database on the server of ``url``, for the plain owner."""
    parts = urlsplit(url)
    netloc = f"moving_owner@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=netloc, path=f"/{database}").geturl()


@pytest.fixture
def other_server() -> Iterator[str]:
    """The URL of a second server's first database."""
    folder = folder_in_memory("homing-test-other-")
    try:
        with embedded(folder) as url:
            with psycopg.connect(url, autocommit=True) as conn:
                make_quick(conn)
                conn.execute(ROLES)
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def control(cluster: Cluster) -> Iterator[str]:
    """A database of the plain owner's on the first server."""
    with psycopg.connect(cluster.admin, autocommit=True) as conn:
        conn.execute(ROLES)
        conn.execute("CREATE DATABASE moving OWNER moving_owner")
    yield owned(cluster.admin, "moving")
    for name in ("moving_acme", "moving"):
        cluster.drop_database(cluster.url(name))
    with psycopg.connect(cluster.admin, autocommit=True) as conn:
        conn.execute("DROP ROLE moving_owner")


def test_a_plain_owner_moves_a_tenant_with_its_messages_to_another_server(
    control: str, other_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOMING_DATABASE_URL", control)
    monkeypatch.setenv("HOMING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOMING_APPS", "fieldwork,messaging")

    def run(*words: str) -> dict[str, object]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([*words, "--json"])
        out, err = capsys.readouterr()
        assert not exited.value.code, err
        return dict(json.loads(out))

    run("tenants", "create", "acme")
    before, after = owned(control, "moving_acme"), owned(other_server, "acme")
    with psycopg.connect(before, autocommit=True) as conn:
        assert conn.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user").fetchone() == (
            False, False
        )  # fmt: skip
        assert conn.execute(
            "SELECT relrowsecurity FROM pg_class WHERE oid = 'messaging.messages'::regclass"
        ).fetchone() == (True,)
        conn.execute(WRITE)
        epoch = conn.execute("SELECT epoch FROM homing.epoch").fetchone()

    run("tenants", "move", "acme", "--to", after)
    shown = run("tenants", "show", "acme")
    assert (shown["status"], shown["last_error"], shown["problem"]) == ("active", None, None)
    with psycopg.connect(after, autocommit=True) as conn:
        assert conn.execute("SELECT content FROM messaging.messages").fetchall() == [("between the two",)]
        assert conn.execute("SELECT epoch FROM homing.epoch").fetchone() != epoch
        # The API's role sees what the policy lets it, there too.
        conn.execute("SET ROLE homing_api")
        assert conn.execute("SELECT content FROM messaging.messages").fetchall() == []
    with psycopg.connect(before, autocommit=True) as conn, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("DELETE FROM messaging.messages")
