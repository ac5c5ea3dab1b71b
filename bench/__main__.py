"""``python -m bench``: see ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from bench.figures import Run
from bench.plan import FULL, QUICK
from bench.profiling import SUBJECTS, profile
from bench.run import MEASURES, run, say
from bench.table import render


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Homing against the raw and the thin.")
    commands = parser.add_subparsers(dest="command")
    _run_options(parser)
    table = commands.add_parser("table", help="print the table of a run that was written with --json")
    table.add_argument("file", type=Path)
    profiling = commands.add_parser("profile", help="where Homing's time goes: its Python and its statements")
    profiling.add_argument("subject", choices=SUBJECTS)
    profiling.add_argument("--rows", type=int, default=100_000, help="rows that are there before")
    profiling.add_argument("--clients", type=int, default=1)
    options = parser.parse_args()
    match options.command:
        case "table":
            print(render(msgspec.json.decode(options.file.read_bytes(), type=Run)))
        case "profile":
            print(profile(options.subject, rows=options.rows, clients=options.clients))
        case _:
            _run(options)


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="about a minute; the large tables are left out")
    parser.add_argument("--only", default="", help=f"comma-separated measures of: {', '.join(MEASURES)}")
    parser.add_argument("--contenders", default="", help="comma-separated servers of: thin, homing, kinto")
    parser.add_argument("--kinto", type=Path, help="a virtual environment with kinto[postgresql]")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="where the data directory is made; a real disk, not memory")


def _run(options: argparse.Namespace) -> None:
    only = [name for name in options.only.split(",") if name]
    unknown = set(only) - set(MEASURES)
    if unknown:
        raise SystemExit(f"unknown measures: {', '.join(sorted(unknown))}; known: {', '.join(MEASURES)}")
    found = Run(machine={}, figures=[])
    try:
        run(
            found,
            QUICK if options.quick else FULL,
            only=only,
            contenders=[name for name in options.contenders.split(",") if name],
            kinto_venv=options.kinto,
            folder=options.folder,
        )
    finally:
        if options.json:
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
            say(f"written: {options.json}")
        print(render(found))


if __name__ == "__main__":
    main()
