"""The embedded server: starts from nothing, is shared, survives kills, and stops with its last user."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from homing.postgres.database import Database
from homing.postgres.embedded import EmbeddedError, binaries, embedded
from homing.protocol.errors import Problem
from tests.fixtures.cluster import folder_in_memory

USER = """
import sys
from pathlib import Path
from homing.postgres.embedded import embedded

with embedded(Path(sys.argv[1])) as url:
    sys.stdout.write(url + "\\n")
    sys.stdout.flush()
    sys.stdin.readline()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name for a cluster of the test's own.

    Not pytest's: each pytest that starts closes the folder of all of them to other users, and PostgreSQL's user is one.
    """
    made = folder_in_memory("homing-own-")
    yield made
    shutil.rmtree(made)


@contextmanager
def another_process(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that uses ``data`` until the block ends; it, and the URL it was given."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(data)], env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            yield process, url
        finally:
            if process.poll() is None:
                process.communicate("\n", timeout=60)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as conn:
        row = conn.execute(query).fetchone()
        assert row is not None
        return row[0]


def running(data: Path) -> bool:
    """Whether the server's own process stands in the folder."""
    pid_file = data / "postgres" / "postmaster.pid"
    return pid_file.exists() and Path(f"/proc/{pid_file.read_text().split()[0]}").exists()


def test_it_starts_from_nothing_keeps_its_data_and_stops(folder: Path) -> None:
    with embedded(folder) as url:
        assert url == f"postgresql://postgres@/homing?host={str(folder / 'postgres').replace('/', '%2F')}&port=5432"
        assert running(folder)
        with psycopg.connect(url) as conn:
            conn.execute("CREATE TABLE public.kept AS SELECT 1 AS n")
    assert not running(folder)
    with embedded(folder) as url:
        assert ask(url, "SELECT n FROM public.kept") == 1
    assert not running(folder)


def test_it_is_durable_and_closed_to_the_network(folder: Path) -> None:
    durable = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "500",
        "shared_buffers": "256MB",
    }
    with embedded(folder) as url:
        found = {name: ask(url, f"SHOW {name}") for name in durable}
        assert ask(url, "SELECT lower('ÄÉ') || datlocprovider::text FROM pg_database WHERE datname = 'homing'") == "äéb"
        assert ask(url, "SELECT current_setting('server_version_num')::int / 10000") == 18
    assert found == durable
    assert (folder / "postgres").stat().st_mode & 0o077 == 0  # whoever can reach the socket needs no password


def test_settings_made_with_alter_system_win(folder: Path) -> None:
    with embedded(folder) as url, psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET max_connections = 33")
    with embedded(folder) as url:
        assert ask(url, "SHOW max_connections") == "33"


def test_two_processes_share_one_server_and_the_last_one_stops_it(folder: Path) -> None:
    with another_process(folder) as (_, theirs):
        with embedded(folder) as ours:
            assert ours == theirs
        assert running(folder)
    assert not running(folder)
    with embedded(folder) as ours:
        with another_process(folder) as (_, theirs):
            assert ours == theirs
        assert ask(ours, "SELECT 1") == 1
    assert not running(folder)


def test_a_killed_process_leaves_a_server_that_the_next_one_uses_and_stops(folder: Path) -> None:
    with another_process(folder) as (process, theirs):
        with psycopg.connect(theirs) as conn:
            conn.execute("CREATE TABLE public.kept AS SELECT 1 AS n")
        started = ask(theirs, "SELECT pg_postmaster_start_time()")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert running(folder)
    with embedded(folder) as ours:
        assert ours == theirs
        assert ask(ours, "SELECT n FROM public.kept") == 1
        assert ask(ours, "SELECT pg_postmaster_start_time()") == started
    assert not running(folder)


@pytest.mark.parametrize("pid", ["4194303", "mine", "zombie"])
def test_a_pid_file_left_by_a_power_cut_does_not_stop_the_start(folder: Path, pid: str) -> None:
    """Nobody has the first number; the second is a living process of the server's own user that is no PostgreSQL; the
    third one has ended, and whoever should take note of that does not."""
    with embedded(folder):
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        owner = (folder / "postgres").stat().st_uid
    sleeper = subprocess.Popen(["sleep", "600"], user=owner if os.geteuid() == 0 else None, cwd="/")
    zombie = subprocess.Popen(["true"], user=owner if os.geteuid() == 0 else None, cwd="/")
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    try:
        lines[0] = {"mine": str(sleeper.pid), "zombie": str(zombie.pid)}.get(pid, pid)
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            lock = folder / "postgres" / name
            lock.write_text("\n".join(lines) + "\n")
            os.chown(lock, owner, -1)
        with embedded(folder) as url:
            assert ask(url, "SELECT 1") == 1
        assert sleeper.poll() is None
    finally:
        sleeper.terminate()
        sleeper.wait(60)
        zombie.wait(60)


def test_an_unfinished_initdb_is_begun_again(folder: Path) -> None:
    (folder / "postgres.unfinished" / "base").mkdir(parents=True)
    (folder / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    with embedded(folder) as url:
        assert ask(url, "SELECT 1") == 1
    assert not (folder / "postgres.unfinished").exists()


@pytest.mark.parametrize("name", ["a b 'c' \"d\" $HOME `e` % ?&#ü", "one, two", "x" * 120])
def test_any_folder_name_will_do(folder: Path, name: str) -> None:
    data = folder / name
    with embedded(data) as url:
        assert ask(url, "SELECT current_database()") == "homing"
        sockets = Path(str(ask(url, "SHOW unix_socket_directories")).strip('"').replace('""', '"'))
        assert len(bytes(sockets / ".s.PGSQL.5432")) <= 100
        with another_process(data) as (_, theirs):
            assert theirs == url
    assert not list(sockets.glob(".s.PGSQL*"))
    assert sockets.exists() == (sockets == data / "postgres")  # a temporary one is gone


def test_data_of_another_major_version_are_refused_and_left_alone(folder: Path) -> None:
    with embedded(folder):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="are PostgreSQL 17's and this is 18: dump them"), embedded(folder):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("18\n")
    with embedded(folder) as url:
        assert ask(url, "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with embedded(folder):
        pass
    (folder / "postgres" / "postgresql.auto.conf").write_text("shared_buffers = 'much'\n")
    with (
        pytest.raises(EmbeddedError, match=r"PostgreSQL does not start .* invalid value for parameter"),
        embedded(folder),
    ):
        pass


async def test_a_pool_is_back_when_the_server_is(folder: Path) -> None:
    with embedded(folder) as url:
        db = Database(url, wait_seconds=0.2)
        await db.open()
        async with db.connection() as conn:
            await conn.execute("SELECT 1")
    with pytest.raises(Problem, match="unavailable"):
        async with db.connection():
            pass
    with embedded(folder):
        async with db.connection() as conn:
            assert await (await conn.execute("SELECT 2")).fetchone() == (2,)
        await db.close()


def test_the_programs_of_the_wheel_run(folder: Path) -> None:
    with embedded(folder) as url:
        dump = subprocess.run([binaries() / "pg_dump", url], capture_output=True, text=True, check=True).stdout
    assert "PostgreSQL database dump complete" in dump
