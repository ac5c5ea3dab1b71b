"""The ASGI application: every route, and what holds for all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, LitestarDeprecationWarning
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.params import SkipValidation
from litestar.types import Scope

from homing.engine.caller import Caller, Claims
from homing.protocol.errors import Problem
from homing.server.composing import Fresh, compose, find_console, spelled
from homing.server.edge import Edge
from homing.server.live_socket import Sockets
from homing.server.metrics import Metrics
from homing.server.node import Node
from homing.server.problems import on_exception, on_http_exception, on_problem
from homing.server.routes import BASE_PATH, ROOT_ROUTES, ROUTES, SPEC_ROUTES
from homing.server.routing import CALLER_KEY, CLAIMS_KEY, DIRECT, TENANT_KEY, Gate, check_routes, routes_of
from homing.server.tenant import Tenant

_OURS = {
    "Node": SkipValidation[Node],
    "Tenant": SkipValidation[Tenant],
    "Claims": SkipValidation[Claims],
    "Caller": SkipValidation[Caller],
}
"""Handlers write ``tenant: Tenant``. For Litestar it is a dependency, and ours: not to be checked on every call."""


class Application(Litestar):
    """Litestar inside the edge. To a handler that the gate calls itself, a request goes past Litestar's router too."""

    edge: Edge
    sockets: Sockets
    gate: Gate
    direct: Mapping[tuple[str, str], HTTPRouteHandler]
    """Method and address → handler."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            handler = self.direct.get((scope["method"], scope["path"]))
            await self.edge(
                super().__call__ if handler is None else partial(self._straight, handler), scope, receive, send
            )
        elif scope["type"] == "websocket":
            await self.sockets(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _straight(self, handler: HTTPRouteHandler, scope: Any, receive: Any, send: Any) -> None:
        scope["litestar_app"], scope["route_handler"], scope["path_template"] = self, handler, scope["path"]
        try:
            await self.gate(scope, receive, send)
        except Exception as error:
            request: Request[Any, Any, Any] = Request(scope, receive, send)
            response = on_problem(request, error) if isinstance(error, Problem) else on_exception(request, error)
            await response.to_asgi_response(app=None, request=request)(scope, receive, send)


def create_app(node: Node) -> Litestar:
    """The application of ``node``: the server's routes and those of its apps, which name theirs ``ROUTES``.

    Raises RoutesError, naming every route that does not say who may call it.
    """
    limited = {name: app.name for name, app in zip(node.settings.apps, node.default.apps, strict=False) if app.rates}
    handlers = compose(ROUTES, node.modules, limited=limited)
    as_spelled = spelled(SPEC_ROUTES, node.modules, limited=limited)
    metrics = Metrics()
    metrics.watch(node)
    with warnings.catch_warnings():
        # Litestar 3 will want each parameter to say where it comes from; here a name that is not in the path is in the
        # query, and pyproject.toml asks for Litestar 2.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        app = Application(
            route_handlers=[
                *ROOT_ROUTES,
                *as_spelled,
                Fresh(path=BASE_PATH, route_handlers=handlers),
                *find_console(),
            ],
            dependencies={
                "tenant": Provide(_tenant, sync_to_thread=False),
                "node": Provide(_node, sync_to_thread=False),
                "claims": Provide(_claims, sync_to_thread=False),
                "caller": Provide(_caller, sync_to_thread=False),
            },
            exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_exception},
            signature_namespace=_OURS,
            middleware=[DefineMiddleware(Gate, node=node)],
            state=State({"node": node, "limits": node.settings.limits, "metrics": metrics}),
            request_max_body_size=None,  # bodies.py has its own, which counts what was decompressed
            openapi_config=None,  # openapi.py, from the types that are really decoded
            logging_config=None,
        )
    check_routes(app, rates=node.default.rates.rates)
    app.edge = Edge(metrics)
    app.sockets = Sockets(node)
    app.gate = Gate(app, node=node)
    app.direct = {
        (route.method, route.path): route.handler
        for route in routes_of(app, aliases=True, console=True)
        if route.handler.opt[DIRECT] is not None
    }
    return app


# Litestar resolves dependencies that need nothing of each other side by side, in a task group, which costs more than
# the rest of a request. So these ask for the tenant although they do not use it: one after the other costs nothing.


def _tenant(scope: Scope) -> Tenant:
    found: Tenant = scope[TENANT_KEY]  # type: ignore[literal-required]
    return found


def _node(scope: Scope, tenant: Tenant) -> Node:  # noqa: ARG001
    found: Node = scope["litestar_app"].state.node
    return found


def _claims(scope: Scope, tenant: Tenant) -> Claims:  # noqa: ARG001
    found: Claims = scope[CLAIMS_KEY]  # type: ignore[literal-required]
    return found


def _caller(scope: Scope, tenant: Tenant) -> Caller:  # noqa: ARG001
    found: Caller = scope[CALLER_KEY]  # type: ignore[literal-required]
    return found
