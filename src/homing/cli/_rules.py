"""The rules that a replica runs before an edit enters its outbox: those of the applications that are installed here.

An application offers them as ``CHECKS``, by resource type. Those that ship with Homing are found by name; another's
module is imported only where the person names it in HOMING_APPS, never because a server does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from homing.declare.edits import Check

Rules = Mapping[str, Sequence[Check]]

SHIPPED = "homing.apps"


def rules_of(apps: Iterable[str]) -> Rules:
    """The rules of these applications, as far as they are installed. Importing them takes about a second."""
    modules = [f"{SHIPPED}.{app}" for app in sorted(set(apps)) if _ships(app)]
    named = [name.strip() for name in os.environ.get("HOMING_APPS", "").split(",")]
    foreign = [name for name in named if name and not _ships(name)]
    if foreign and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # as the server's commands find an application's module
    found: dict[str, Sequence[Check]] = {}
    for module in (*modules, *foreign):
        found |= getattr(import_module(module), "CHECKS", {})
    return found


def _ships(app: str) -> bool:
    return app.isidentifier() and find_spec(f"{SHIPPED}.{app}") is not None
