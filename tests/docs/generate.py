"""The pages of the reference that are made from the program: ``python -m tests.docs.generate`` writes them again.

``test_reference.py`` compares, so that a page cannot fall behind what it describes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from homing import settings
from homing.cli import main as command_line
from homing.protocol import limits
from homing.protocol.errors import CATALOGUE, NEXT, Action
from homing.protocol.limits import DEFAULT_LIMITS
from homing.settings import LIMITS_PREFIX, PREFIX, Settings
from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Made by python -m tests.docs.generate; what is written here by hand is lost. -->"


def errors() -> str:
    used = {code.action for code in CATALOGUE.values()}
    lines = [
        "# Errors",
        "",
        NOTE,
        "",
        "A request that is refused as a whole gets a problem document (RFC 9457, `application/problem+json`) with",
        "`type`, `title`, `status`, `detail`, `code` and `action`, and with more members where the code says so. An",
        "item of a push that is refused has `code` and `error` in its result, in a 200. Codes keep their meaning.",
        "",
        "What a client does next depends on `action`, never on the bare status:",
        "",
        "| action | what the client does |",
        "| --- | --- |",
        *(f"| `{action}` | {NEXT[action]} |" for action in Action if action in used),
        "",
        "## Codes",
        "",
        "| code | status | action |",
        "| --- | --- | --- |",
        *(
            f"| [`{code.code}`](#{code.code}) | {code.status or 'in item results only'} | `{code.action}` |"
            for code in CATALOGUE.values()
        ),
        "",
    ]
    for code in CATALOGUE.values():
        where = f"Status {code.status}." if code.status else "In item results only."
        lines += [f"### {code.code}", "", f"{code.title}. {where} Action: `{code.action}`.", "", code.meaning, ""]
    return "\n".join(lines)


def said_of(module: str, name: str) -> dict[str, str]:
    """Field → the string below it, of one class of a module."""
    tree = ast.parse(module)
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    said: dict[str, str] = {}
    for field, below in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value if isinstance(below, ast.Expr) else None
            value = text.value if isinstance(text, ast.Constant) else ""
            said[field.target.id] = " ".join(str(value).replace("``", "`").split())
    return said


SETTINGS: Mapping[str, str] = {
    "host": "Address to listen on.",
    "port": "Port to listen on.",
    "apps": "Applications, separated by commas: those that ship with Homing, or modules of yours.",
    "access_token_seconds": "How long an access token holds.",
    "refresh_token_days": "How long a refresh token may lie unused.",
}
"""Words for what the module says with the field's name alone."""


def settings_page() -> str:
    said = said_of(Path(settings.__file__).read_text(encoding="utf-8"), "Settings")
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        "Settings are environment variables, read once when a command starts. A variable that begins with `HOMING_`",
        "and is not in this list stops the start, because it is a typing mistake whose effect would be silence.",
        "Options of a command (`--data`, `--port`) win over variables.",
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for field in msgspec.structs.fields(Settings):
        if field.name == "limits":
            continue
        meaning = " ".join(filter(None, (SETTINGS.get(field.name, ""), said[field.name])))
        default = None if field.default is msgspec.NODEFAULT else field.default
        lines.append(f"| `{PREFIX}{field.name.upper()}` | {_default(default)} | {meaning} |")
    lines += [
        "",
        f"Every [limit](limits.md) is a setting too: `{LIMITS_PREFIX}BATCH_ITEMS_MAX` and so on, whole numbers from 1.",
        "",
        "Truth values are `true`, `1`, `yes`, `on`, `false`, `0`, `no`, `off`.",
        "",
    ]
    return "\n".join(lines)


def _default(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`{','.join(map(str, value))}`"
        case _:
            return f"`{value}`"


def limits_page() -> str:
    said = said_of(Path(limits.__file__).read_text(encoding="utf-8"), "Limits")
    lines = [
        "# Limits",
        "",
        NOTE,
        "",
        "Every bound of the protocol, with its unit in the name and its reason. A server publishes its own values at",
        f"`GET /api/v1/capabilities`; an operator sets them with `{LIMITS_PREFIX}` and the name in capitals.",
        "",
        "| limit | default | what it bounds, and why |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {value} | {said[name]} |" for name, value in msgspec.structs.asdict(DEFAULT_LIMITS).items()),
        "",
    ]
    return "\n".join(lines)


_WHERE = re.compile(r"(?:^\* `[^`]*--(?:data|database-url|apps)(?: [A-Z]+)?`: .*\n)+", re.M)
_TENANT = re.compile(r"^\* `--tenant STR`: .*\n", re.M)


def cli_page() -> str:
    """What cyclopts says of the commands, with the options that most of them share said once."""
    made = command_line.generate_docs(flatten_commands=True, heading_level=2, usage_name="homing")
    made = made[made.index("## homing attach") :]  # behind a table of contents
    made = _WHERE.sub("* `--data`, `--database-url`, `--apps`: [which server](#which-server).\n", made)
    made = _TENANT.sub("* `--tenant`: [which tenant](#which-server).\n", made)
    made = made.replace("```console", "```text")
    # How the running Python was started, which cyclopts takes for a part of some commands' names.
    made = re.sub(r"^(homing [a-z -]*?) -m [\w.]+", r"\1", made, flags=re.M)
    made = re.sub(r"(?<!`)``(?!`)", "`", made)
    made = re.sub(r"^(\* .*):\s*$", r"\1", made, flags=re.M)
    return "\n".join(
        [
            "# The command line",
            "",
            NOTE,
            "",
            "`homing COMMAND --help` says the same.",
            "",
            "## Which server",
            "",
            "Most commands work on a server's database, whether a server is running or not, and find it by the same",
            "[settings](settings.md) as the server does. Three of them are also options:",
            "",
            "* `--data`: folder of the embedded database. `HOMING_DATA_DIR`.",
            "* `--database-url`: your own PostgreSQL. `HOMING_DATABASE_URL`.",
            "* `--apps`: applications, separated by commas. `HOMING_APPS`. A name is one that ships with Homing, or a",
            "  module that Python finds; the folder in which the command was started is looked into too.",
            "",
            "A server of many tenants has a database for each. A command works on the default tenant's, or with",
            "`--tenant NAME` on that tenant's.",
            "",
            made.strip(),
            "",
        ]
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "errors.md": errors,
    "settings.md": settings_page,
    "limits.md": limits_page,
    "cli.md": cli_page,
}


def main() -> None:
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
