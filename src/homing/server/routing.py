"""What every route declares, checked when the server starts, and the gate that every request passes.

A handler says, as keyword arguments of Litestar's decorators:

``roles``      who may call it: ``PUBLIC``, ``SIGNED_IN`` or a set of roles (``OFFICE``). There is no default: a route
               that nobody thought about must not be open.
``confirmed``  how the caller is confirmed in the database before the handler runs, where somebody must be signed in:
               ``WITH_DEVICE`` (the default; a device that the token names must be in good standing), ``PERSON`` (the
               device need not be registered yet), or ``BY_ENGINE`` (sync confirms within its own statement).
``body``       the msgspec type of its JSON body, where it has one; the handler reads it with ``bodies.read``.
``answer``     the msgspec type of its answer, where its return annotation does not say (``RawJson``).
``answers``    the media types it can answer with, where that is not JSON.
``any_query``  it reads the query itself (signed addresses); otherwise only declared parameters are accepted, once each.
``rate``       the rate that its calls count for (``limiting``); an application's routes have the application's, unless
               they say another one, or None.
``reads``      it writes nothing that syncs, although its method is not GET, or the engine tells of it (push).
``of_node``    it is about the process, not about a tenant: it gets the default one, wherever the request was sent.
``console``    a page of the console, not of the API: whoever calls is known by the console's cookie instead of an
               access token, and no list of the API's routes has it.

Handlers that want to know who is calling take ``caller``, with BY_ENGINE ``claims``.

The gate also finds the tenant of the request (``tenants.choose``) and holds it open until the answer is sent. Where the
node has no other tenants, that is the default one, and nothing is awaited. A handler that takes nothing but what the
gate knows, and answers with ``RawJson``, is called by the gate: Litestar's way to it costs more than all the rest that
happens to such a request before it is at its handler.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote_plus

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from homing.accounts.access import read_access
from homing.accounts.caller import require_caller, require_person
from homing.accounts.cookies import find_cookie, read_cookie
from homing.accounts.renewal import names_unknown_key
from homing.accounts.users import OWNER
from homing.engine.caller import Caller, Claims
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.composing import ALIAS, RATE
from homing.server.edge import ASKER_KEY
from homing.server.limiting import names_of, tell, who_counts
from homing.server.node import Node
from homing.server.tenant import Tenant
from homing.settings import Settings
from homing.tenants.choose import HEADER, audience_of, choose, place_of


class Everybody(Enum):
    PUBLIC = "public"
    SIGNED_IN = "signed in"


PUBLIC: Final = Everybody.PUBLIC
SIGNED_IN: Final = Everybody.SIGNED_IN
OFFICE: Final = frozenset({OWNER})

Roles = Everybody | frozenset[str]


class Confirmed(Enum):
    WITH_DEVICE = "with device"
    PERSON = "person"
    BY_ENGINE = "by engine"


WITH_DEVICE: Final = Confirmed.WITH_DEVICE
PERSON: Final = Confirmed.PERSON
BY_ENGINE: Final = Confirmed.BY_ENGINE

CLAIMS_KEY = "homing.claims"
CALLER_KEY = "homing.caller"
TENANT_KEY = "homing.tenant"
"""Where the gate leaves in the scope what it found, for the dependencies of these names."""

DIRECT: Final = "direct"
"""Key of a handler's ``opt``: the names of its parameters, if the gate can call it; else None."""
KNOWN: Final = frozenset({"request", "tenant", "node", "claims", "caller"})
"""Parameters that the gate can give."""

RATES: Final = "rates"
"""Key of a handler's ``opt``: platform → the name of the rate, or None."""

GENERAL_QUERY = {"platform": frozenset({"web", "mobile"})}
"""Parameters that every address takes, with their values: most have no condensed form for phones, and say so by giving
the same."""


TENANT_PARAMETER = "tenant"
"""Of signed addresses: the tenant whose keys signed them."""

_HEADER = HEADER.encode()
_PARAMETER = f"{TENANT_PARAMETER}=".encode()


class RoutesError(Exception):
    """Routes that cannot be served as they are declared; one a line."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address."""

    method: str
    path: str
    handler: HTTPRouteHandler
    query: frozenset[str]

    @property
    def roles(self) -> Roles:
        found: Roles = self.handler.opt["roles"]
        return found

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes_of(app: Litestar, *, aliases: bool = False, console: bool = False) -> Iterator[Route]:
    """Every declared route. OPTIONS, which Litestar answers by itself with Allow, is not one; the second addresses of
    applications' routes (``composing``) are only with ``aliases``, the console's pages only with ``console``."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, parameters) in sorted(route.route_handler_map.items()):
            if "console" in handler.opt and not console:
                continue
            if method != "OPTIONS" and (aliases or ALIAS not in handler.opt):
                query = frozenset(parameter.field_alias for parameter in parameters.expected_query_params)
                yield Route(method, route.path_format, handler, query)


def check_routes(app: Litestar, *, rates: Collection[str] = ()) -> None:
    """Refuse to start with a route that does not say who may call it, or says what does not fit together. ``rates`` are
    the names there are.

    Raises RoutesError.
    """
    mistakes = []
    methods: dict[str, list[str]] = {}
    for route in routes_of(app, aliases=True, console=True):
        opt = route.handler.opt
        roles, confirmed = opt.get("roles"), opt.setdefault("confirmed", WITH_DEVICE)
        takes = {"caller", "claims"} & set(route.handler.parsed_fn_signature.parameters)
        if not isinstance(roles, Everybody | frozenset):
            mistakes.append(f"{route}: say who may call it: roles=PUBLIC, SIGNED_IN, OFFICE or a frozenset of roles")
        elif roles is PUBLIC and takes:
            mistakes.append(f"{route}: it is PUBLIC, so nobody need be calling: it cannot take {', '.join(takes)}")
        elif confirmed is BY_ENGINE and (roles is not SIGNED_IN or takes != {"claims"}):
            mistakes.append(f"{route}: with BY_ENGINE it must be SIGNED_IN and take claims, which the engine confirms")
        rate = opt.get(RATE)
        opt[RATES] = None if rate is None else names_of(rate, rates)
        if rate is not None and opt[RATES] is None:
            mistakes.append(f"{route}: there is no rate called {rate!r}")
        opt["query"] = None if opt.get("any_query") else route.query
        opt[DIRECT] = _direct(route.handler)
        methods.setdefault(route.path, ["OPTIONS"]).append(route.method)
    app.state.methods = {path: ", ".join(sorted(found)) for path, found in methods.items()}
    if mistakes:
        raise RoutesError("\n".join(mistakes))


def _direct(handler: HTTPRouteHandler) -> Collection[str] | None:
    signature = handler.parsed_fn_signature
    answers_itself = signature.return_type.annotation is RawJson and handler.resolve_before_request() is None
    names = set(signature.parameters)
    return names if answers_itself and names <= KNOWN else None


class Gate:
    """Litestar middleware, made once for each route: nothing reaches a handler that did not pass.

    Raises Problem: not_found, tenant_suspended, being_migrated, unavailable, unauthenticated, device_*, forbidden,
    rate_limited, invalid_parameter, not_acceptable.
    """

    def __init__(self, app: ASGIApp, *, node: Node) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler: Any = scope["route_handler"]
        if "roles" not in handler.opt:
            # Litestar's own answer to OPTIONS: nobody's route, and it forgets methods that were registered later.
            await _say_allowed(scope["litestar_app"].state.methods[scope["path_template"]], send)
            return
        roles: Roles = handler.opt["roles"]
        access = accept = host = named = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                access = value
            elif name == b"accept":
                accept = value
            elif name == b"host":
                host = value
            elif name == _HEADER:
                named = value if named is None else named + b", " + value  # said twice, it is no tenant's name
        node = self._node
        if handler.opt.get("console"):
            access = find_cookie(scope["headers"], secure=is_secure(node.settings, scope))
        if handler.opt.get("any_query") and named is None:
            named = _tenant_of_link(scope["query_string"])
        if (named is None and not node.directory.entries) or handler.opt.get("of_node"):
            await self._let_in(node.default, access, accept, scope, receive, send)
            return
        place = place_of(node.directory.by_host, host=host, header=named)
        chosen = choose(place, None if roles is PUBLIC else audience_of(access))
        if not isinstance(chosen, str) or not await node.knows(chosen):
            if roles is PUBLIC:
                raise Problem("not_found")
            # What a token gets that is not good here, whether or not there is such a tenant.
            if not handler.opt.get("console"):
                bearer_of(access)
            raise Problem("unauthenticated")
        async with node.lease(chosen) as tenant:
            await self._let_in(tenant, access, accept, scope, receive, send)

    async def _let_in(
        self, tenant: Tenant, access: bytes | None, accept: bytes | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        handler: Any = scope["route_handler"]
        opt = handler.opt
        roles: Roles = opt["roles"]
        found: dict[str, Any] = scope  # type: ignore[assignment]
        found[TENANT_KEY] = tenant
        found[ASKER_KEY] = (tenant.name, None)
        claims = None
        if roles is not PUBLIC:
            read = read_cookie_claims if opt.get("console") else read_claims
            try:
                claims = read(tenant, access)
            except Problem:
                # Perhaps another node made a key since this one read them.
                if access is None or not names_unknown_key(tenant.keys, access) or not await tenant.renew_keys():
                    raise
                claims = read(tenant, access)
            found[CLAIMS_KEY] = claims
            found[ASKER_KEY] = (tenant.name, claims.platform)
        counted = opt[RATES] and who_counts(opt[RATES], claims, scope)
        if counted:
            tenant.rates.check(*counted)  # who floods is refused before anything is asked of the database
        if claims is not None and opt["confirmed"] is not BY_ENGINE:
            found[CALLER_KEY] = await _confirm(tenant, claims, roles, opt["confirmed"])
        if counted:
            # Only now: with the token of a session that was ended nobody uses up what its user may ask.
            tell(found, await tenant.rates.take(*counted))
        if scope["query_string"]:
            _check_query(scope["query_string"], opt.get("query", frozenset()))
        if accept is not None:
            _check_accept(accept, handler)
        if opt[DIRECT] is None:
            await self._app(scope, receive, send)
        else:
            request: Request[Any, Any, Any] = Request(scope, receive, send)
            given = {
                "request": request,
                "tenant": tenant,
                "node": self._node,
                "claims": claims,
                "caller": found.get(CALLER_KEY),
            }
            answer: RawJson = await handler.fn(**{name: given[name] for name in opt[DIRECT]})
            await answer(scope, receive, send)
        if scope["method"] != "GET" and not opt.get("reads"):  # type: ignore[typeddict-item]
            tenant.live.written()


async def _confirm(tenant: Tenant, claims: Claims, roles: Roles, confirmed: Confirmed) -> Caller:
    find = require_person if confirmed is PERSON else require_caller
    caller = await find(tenant.database, claims)
    if isinstance(roles, frozenset) and caller.role not in roles:
        raise Problem("forbidden")
    return caller


def _tenant_of_link(query: bytes) -> bytes | None:
    """The tenant that a signed address names: it is followed by what sends no headers of ours."""
    return next((part[len(_PARAMETER) :] for part in query.split(b"&") if part.startswith(_PARAMETER)), None)


async def _say_allowed(methods: str, send: Send) -> None:
    start: Any = {"type": "http.response.start", "status": 204, "headers": [(b"allow", methods.encode())]}
    await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def read_claims(tenant: Tenant, authorization: bytes | None) -> Claims:
    """What the request's access token says. Raises Problem("unauthenticated")."""
    return read_access(tenant.keys, bearer_of(authorization), tenant=tenant.name, now=tenant.clock())


def read_cookie_claims(tenant: Tenant, value: bytes | None) -> Claims:
    """What the console's cookie says. Raises Problem("unauthenticated")."""
    return read_cookie(tenant.keys, value, tenant=tenant.name, now=tenant.clock())


def is_secure(settings: Settings, scope: Scope) -> bool:
    """Whether the browser reached us by https, perhaps through a proxy that took it off."""
    return scope["scheme"] == "https" or (settings.base_url or "").startswith("https:")


def bearer_of(authorization: bytes | None) -> str:
    """The access token of the request. Raises Problem("unauthenticated") where there is none."""
    if authorization is not None:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    raise Problem("unauthenticated", "Send the header Authorization: Bearer with the access token.")


def _check_query(query: bytes, known: frozenset[str] | None) -> None:
    if b"%00" in query:
        raise Problem("invalid_parameter", "NUL, which no text may hold.")
    if known is None:
        return
    seen = set()
    for part in query.split(b"&"):
        raw_name, _, value = part.partition(b"=")
        name = unquote_plus(raw_name.decode("latin-1"))
        if name in GENERAL_QUERY and name not in known:
            if value.decode("latin-1") not in GENERAL_QUERY[name]:
                raise Problem("invalid_parameter", f"{name} is one of {', '.join(sorted(GENERAL_QUERY[name]))}.")
        elif name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise Problem("invalid_parameter", f"There is no parameter {name[:100]!r}; there are: {listed}.")
        if name in seen:
            raise Problem("invalid_parameter", f"{name} is given twice.")
        seen.add(name)


def _check_accept(accept: bytes, handler: Any) -> None:
    if b"*/*" in accept or b"application/json" in accept:
        return
    ours = set(handler.opt.get("answers", ("application/json",)))
    for part in accept.decode("latin-1").lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if any(parameter.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters):
            continue
        family, _, _ = kind.partition("/")
        if kind in ours or any(kind == f"{family}/*" and each.startswith(f"{family}/") for each in ours):
            return
    raise Problem("not_acceptable", f"This address answers with {', '.join(sorted(ours))}.")
