"""Where the routes of applications are served.

Every route of an application is at ``/api/v1/<app>/…``, always. At the plain ``/api/v1/…`` it is too, unless the server
itself or an application named before it in the settings has the same method and address: what two applications both
call ``/jobs`` never stops a start, and never changes its meaning by who was installed last (ADR 47).

Addresses that a specification writes without the version (``/api/jobs/marketplace``) exist exactly so: an application
names their handlers in ``SPEC_ROUTES``, with paths below ``/api`` (ADR 50).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from litestar import Router
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler

SPEC_PATH: Final = "/api"

ALIAS: Final = "alias_of"
"""Key of a handler's ``opt``: it is the second address of a route that is served at the plain one too."""
NONE: Final[Mapping[str, str]] = {}
RATE: Final = "rate"
"""Key of a handler's ``opt``: the rate that its calls count for, which an application's routes have from it."""


class Fresh(Router):
    """A router that is made for one application and handed to no other, in none but such routers. Litestar copies every
    router that it is given, with all that hangs on it, because it writes into it: a fifth of a start."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Fresh:
        return self


def compose(
    own: Sequence[ControllerRouterHandler], modules: Mapping[str, ModuleType], *, limited: Mapping[str, str] = NONE
) -> list[ControllerRouterHandler]:
    """The handlers below the base path: the server's own, then each application's. The applications are in the order
    of the settings; ``limited``: those that have rates → the rates' name."""
    handlers: list[ControllerRouterHandler] = [*own]
    taken = {address for handler in own if isinstance(handler, HTTPRouteHandler) for address in _addresses(handler)}
    for name, module in modules.items():
        plain: list[ControllerRouterHandler] = []
        other: list[ControllerRouterHandler] = []
        for route in getattr(module, "ROUTES", ()):
            addresses = _addresses(route)
            (other if taken & addresses else plain).append(route)
            taken |= addresses
        opt = _opt(name, limited)
        handlers += [Fresh(path="/", route_handlers=plain, opt=opt)] if opt else plain
        handlers.append(Fresh(path=f"/{name}", route_handlers=plain, opt={**opt, ALIAS: name}))
        handlers.append(Fresh(path=f"/{name}", route_handlers=other, opt=opt))
    return handlers


def spelled(
    own: Sequence[ControllerRouterHandler], modules: Mapping[str, ModuleType], *, limited: Mapping[str, str] = NONE
) -> list[ControllerRouterHandler]:
    """The handlers of addresses that are as a specification spells them: the server's own, which are second addresses
    of routes below the base path, and those of all applications. ``limited`` as for ``compose``."""
    routers = [Fresh(path=SPEC_PATH, route_handlers=own, opt={ALIAS: SPEC_PATH})]
    for name, module in modules.items():
        if found := getattr(module, "SPEC_ROUTES", ()):
            routers.append(Fresh(path=SPEC_PATH, route_handlers=found, opt=_opt(name, limited)))
    return [*routers]


def _opt(name: str, limited: Mapping[str, str]) -> dict[str, str]:
    return {RATE: limited[name]} if name in limited else {}


def find_console() -> list[ControllerRouterHandler]:
    """The console's pages. Found by name, as applications are: they are written against the server."""
    routers: list[ControllerRouterHandler] = import_module("homing.console").routes()
    return routers


def _addresses(handler: HTTPRouteHandler) -> set[tuple[str, str]]:
    """Method and path of a route, parameters without their names: ``/jobs/{id:uuid}`` is ``/jobs/{job_id:uuid}``."""
    return {(method, _plain(path)) for path in _paths(handler) for method in handler.http_methods}


def _paths(handler: HTTPRouteHandler) -> Iterable[str]:
    return handler.paths or {"/"}


def _plain(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/") or "/"
