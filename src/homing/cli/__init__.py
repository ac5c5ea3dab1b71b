"""The command ``homing``: one file a command.

A command is a module here that offers ``command``: a function, or a ``cyclopts.App`` of the module's name when it has
commands of its own. ``homing users create`` is ``users.py``, with ``command = App(name="users")``. The modules are
found by name and imported only when their command runs, so that ``homing client status`` does not load the server.
"""

from __future__ import annotations

import pkgutil

from cyclopts import App

main = App(
    name="homing",
    help="Offline-first sync server for PostgreSQL: one database, one API, many clients.",
    version_flags=["--version"],
)

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")):
    main.command(f"{__name__}.{_module}:command", name=_module.replace("_", "-"))
