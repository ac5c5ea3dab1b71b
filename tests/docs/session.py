"""One page, run as its reader would: a shell, a Python, a database and a server of its own, in a folder of its own."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from homing.postgres.embedded import binaries
from tests.docs.pages import ROOT

SECONDS = 120
"""A server may take this long to start or to stop."""

NEEDED = ("bash", "curl", "jq")

_TOOLS = {
    "homing": f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.argv[0] = "homing"; from homing.cli import main; main()' "$@"
""",
    "python": f"""#!/bin/sh
exec {sys.executable} "$@"
""",
}
"""What an installation puts on the path; here it need not be one."""

_PYTHON = """
import sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    path, mark = line.split()
    try:
        exec(compile(open(path, encoding="utf-8").read(), path, "exec"), names)
        code = 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    print(f"\\n{mark} {code}", flush=True)
"""


class FailedError(Exception):
    """A block did not do what the page says. The message holds what it printed."""


class Session:
    """The page's folder and processes. Text of the page says port 8000; each session has a free one instead."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        tools = folder.parent / "tools"
        tools.mkdir()
        for name, text in _TOOLS.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        for name in ("psql", "pg_dump", "pg_restore", "createdb", "dropdb", "dropuser"):
            (tools / name).symlink_to(binaries() / name)
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR", "USER", "LOGNAME")}
        self.environment = {
            **kept,
            "HOME": str(folder),
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(folder)]),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "HOMING_PORT": str(self.port),
            **environment,
        }
        self.errors = folder.parent / "errors.log"
        self.errors.touch()
        self._number = 0
        self._shell: subprocess.Popen[str] | None = None
        self._python: subprocess.Popen[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def here(self, text: str) -> str:
        """A page's text with this session's port in it."""
        return re.sub(r"(127\.0\.0\.1:|--port )8000\b", rf"\g<1>{self.port}", text)

    def shell(self, text: str, *, fails: bool = False) -> str:
        """Run commands in the page's shell; what they printed. ``fails``: they must. Raises FailedError."""
        if self._shell is None:
            self._shell = self._begin(["bash", "--noprofile", "--norc"])
            self._ask(self._shell, "set -uo pipefail")
        script = self._write(f"set -e\n{self.here(text)}\nset +e", "sh")
        if fails:
            return self._ask(self._shell, f"! ( . {script} ) < /dev/null")
        # In the shell itself, so that variables stay. A failing command ends it, and the page. What goes to standard
        # error depends on the machine (whether it is root's, say) and is only shown when something failed.
        return self._ask(self._shell, f". {script} < /dev/null 2>> {self.errors}")

    def sql(self, text: str, *, fails: bool = False) -> str:
        script = self._write(text, "sql")
        return self.shell(f"homing psql -X -q -v ON_ERROR_STOP=1 -f {script}", fails=fails)

    def python(self, text: str) -> str:
        """Run a block in the page's interpreter; what it printed. Raises FailedError."""
        if self._python is None:
            self._python = self._begin([sys.executable, "-c", _PYTHON])
        script = self._write(self.here(text), "py")
        return self._ask(self._python, str(script), is_shell=False)

    def write(self, name: str, text: str) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.here(text) + "\n", encoding="utf-8")

    def serve(self, command: str, *, until: str = "") -> None:
        """Start the page's server and wait until it answers, and has said ``until``. Raises FailedError."""
        log = (self.folder.parent / "server.log").open("wb")
        # With the page's variables; the shell becomes the server, so that signals reach it.
        script = self._write(f"exec {self.here(command)}", "sh")
        variables = self.shell("export -p")
        prelude = self._write(variables, "sh")
        self._server = subprocess.Popen(
            ["bash", "-c", f". {prelude}; . {script}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        end = time.monotonic() + SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200 and until in self.log():
                    return
            except httpx.TransportError:
                pass
            if self._server.poll() is not None or time.monotonic() > end:
                raise FailedError(f"the server does not answer: {self.log()}")
            self._server_pause()

    def _server_pause(self) -> None:
        """Until the server ends or a tenth of a second is over, whichever is first."""
        assert self._server is not None
        try:
            self._server.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            return

    def log(self) -> str:
        return (self.folder.parent / "server.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """What Ctrl+C does."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(timeout=SECONDS)
            self._server = None

    def close(self) -> None:
        for process in (self._shell, self._python):
            if process is not None:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.close()
                process.wait(timeout=SECONDS)
                process.stdout.close()
        self.stop()

    def _begin(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def _write(self, text: str, suffix: str) -> Path:
        self._number += 1
        script = self.folder.parent / f"block{self._number}.{suffix}"
        script.write_text(text + "\n", encoding="utf-8")
        return script

    def _ask(self, process: subprocess.Popen[str], command: str, *, is_shell: bool = True) -> str:
        """Give ``command`` to a process and read until it is done."""
        assert process.stdin is not None
        assert process.stdout is not None
        mark = f"end-{secrets.token_hex(8)}"
        process.stdin.write(f"{command}\nprintf '\\n%s %s\\n' {mark} $?\n" if is_shell else f"{command} {mark}\n")
        process.stdin.flush()
        said, code = _until(process.stdout, mark)
        if code != "0":
            raise FailedError(f"it ended with {code}:\n{said}\n{self.errors.read_text(encoding='utf-8')}")
        return said


def _until(output: IO[str], mark: str) -> tuple[str, str]:
    lines: list[str] = []
    for line in output:
        if line.startswith(f"{mark} "):
            return "".join(lines).strip("\n"), line.split()[1]
        lines.append(line)
    return "".join(lines), "the shell closed"


@contextmanager
def session(folder: Path, environment: dict[str, str]) -> Iterator[Session]:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise FileNotFoundError(", ".join(missing))
    home = folder / "here"
    home.mkdir()
    opened = Session(home, environment)
    try:
        yield opened
    finally:
        opened.close()
