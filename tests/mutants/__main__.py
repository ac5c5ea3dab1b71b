"""``python -m tests.mutants``: put each mistake into a copy of the source and see whether the tests notice.

Before anything is broken, all the named tests run on the copy as it is: a test that fails anyway kills nothing. A
mutant counts as killed only by a test that *failed*. A set-up that broke, a test that was not found or took too long
prove nothing about the test, so they end the run as a survivor does: with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("src", "tests", "pyproject.toml")

STOP_SECONDS = 20
"""A run that is asked to stop takes its PostgreSQL down first."""

_FAILED = re.compile(r"^FAILED (\S+::.+?)(?: - .*)?$", re.MULTILINE)
_STYLES = {"killed": "green", "survived": "bold red", "undecided": "bold yellow"}

Fate = Literal["killed", "survived", "undecided"]


class Outcome(msgspec.Struct):
    """What became of a mutant. ``by``: the tests that failed, or why nothing is known."""

    name: str
    fate: Fate
    by: str
    seconds: float
    breaks: str


def main() -> int:
    options = _options()
    chosen = [mutant for mutant in MUTANTS if not options.only or mutant.name in options.only]
    console = Console(stderr=options.json)
    with tempfile.TemporaryDirectory(prefix="homing-mutants-") as folder:
        copy = Path(folder)
        _copy(copy)
        try:
            patched = {mutant.name: mutant.applied((copy / mutant.file).read_text("utf-8")) for mutant in chosen}
        except ValueError as error:
            console.print(f"[bold red]A patch no longer applies.[/] {error}")
            return 1
        console.print(f"{len(chosen)} mutants; first their tests on the engine as it is")
        tests = list(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
        code, said = _pytest(copy, tests, seconds=options.limit + 5 * len(tests))
        if code != 0:
            console.print(said, markup=False, highlight=False, soft_wrap=True)
            console.print("[bold red]The tests fail without any mutant.[/]")
            return 1
        outcomes = []
        for mutant in chosen:
            outcome = _try(copy, mutant, patched[mutant.name], seconds=options.limit)
            console.print(f"[{_STYLES[outcome.fate]}]{outcome.fate:9}[/] {mutant.name}, {outcome.seconds:.1f} s")
            outcomes.append(outcome)
    if options.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(outcomes)) + b"\n")
    else:
        console.print(_table(outcomes))
    return 0 if all(outcome.fate == "killed" for outcome in outcomes) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Break the engine on purpose.")
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of: {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="write the outcomes to standard output as JSON")
    parser.add_argument("--limit", type=float, default=120, help="seconds a mutant's tests may take")
    return parser.parse_args()


def _copy(to: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(ROOT / name, to / name)


def _try(copy: Path, mutant: Mutant, patched: str, *, seconds: float) -> Outcome:
    began = time.monotonic()
    original = (copy / mutant.file).read_text("utf-8")
    _write(copy / mutant.file, patched)
    try:
        code, said = _pytest(copy, mutant.tests, seconds=seconds)
    finally:
        _write(copy / mutant.file, original)
    fate, by = _judge(code, said, seconds=seconds)
    return Outcome(mutant.name, fate, by, round(time.monotonic() - began, 1), mutant.breaks)


def _write(path: Path, text: str) -> None:
    """Python tells sources by second and size, which a quick patch may leave as they were: no bytecode stays."""
    path.write_text(text, "utf-8")
    for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        stale.unlink()


def _judge(code: int | None, said: str, *, seconds: float) -> tuple[Fate, str]:
    failed = _FAILED.findall(said)
    if code == 0:
        return "survived", ""
    if code == 1 and failed:
        return "killed", ", ".join(name.partition("::")[2] for name in failed)
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return "undecided", f"took over {seconds:.0f} s" if code is None else f"pytest ended with {code}: {last}"


def _pytest(copy: Path, tests: Sequence[str], *, seconds: float) -> tuple[int | None, str]:
    """Exit code (None: not within the time) and output of the tests, run on the copy and on nothing else."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (copy / "src", copy))), "COLUMNS": "300"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=short", *tests]
    with subprocess.Popen(
        command, cwd=copy, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        try:
            said, _ = run.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            run.terminate()
            try:
                said, _ = run.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                run.kill()
                said, _ = run.communicate()
            return None, said
    return run.returncode, said


def _table(outcomes: Iterable[Outcome]) -> Table:
    table = Table("mutant", "what it breaks", "", "killed by", show_lines=True)
    for outcome in outcomes:
        style = _STYLES[outcome.fate]
        table.add_row(outcome.name, outcome.breaks, f"[{style}]{outcome.fate}[/]", outcome.by.replace("[", r"\["))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
