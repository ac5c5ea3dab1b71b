"""Signing in and out: the console is a client like any other, with a cookie for its session."""

from __future__ import annotations

from typing import Any

from litestar import get, post

from homing.accounts import sessions
from homing.accounts.caller import require_person
from homing.accounts.cookies import IDLE, find_cookie, read_cookie, write_cookie
from homing.accounts.login import login
from homing.accounts.rates import LOGIN, LOGIN_ADDRESS
from homing.console.flash import Flash, bad, good
from homing.console.forms import Form
from homing.console.shell import Asked, Html, cookie, render, see_other
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.limiting import address_of
from homing.server.node import Node
from homing.server.routing import PERSON, PUBLIC, SIGNED_IN, is_secure
from homing.server.tenant import Tenant

SIGN_IN = "/console/sign-in"


@get("/sign-in", roles=PUBLIC, any_query=True)
async def get_sign_in(request: Asked, node: Node, tenant: Tenant) -> Html:
    """The form; whoever is signed in already is sent on. ``tenant`` in the query chooses one where hosts do not."""
    back = _inside(request.query_params.get("next"))
    if await _is_signed_in(request, tenant):
        return see_other(back)
    return _page(request, node, tenant, back=back)


@post("/sign-in", roles=PUBLIC, any_query=True, reads=True, status_code=200)
async def post_sign_in(request: Asked, node: Node, tenant: Tenant, form: Form) -> Html:
    """Sign in with a login and a password."""
    back = _inside(form.maybe("next"))
    given = form.maybe("login") or ""
    try:
        taken = await tenant.rates.take((LOGIN_ADDRESS, address_of(request.scope)), (LOGIN, given.casefold()))
        session = await login(
            tenant.database,
            login=given,
            password=form.raw("password") or "",
            platform="web",
            device_name=None,
            prove=_no_device,
            now=tenant.clock(),
            session_days_max=tenant.settings.session_days_max,
        )
    except Problem as problem:
        status = problem.code.status or 422
        return _page(request, node, tenant, back=back, given=given, said=bad(_why(problem)), status=status)
    tenant.rates.give_back(taken)  # only failures count
    value = write_cookie(
        tenant.keys,
        user_id=session.user_id,
        role=session.role,
        tenant=tenant.name,
        session_id=session.id,
        now=tenant.clock(),
    )
    answer = see_other(back)
    answer.set_cookie(cookie(request, tenant, value, seconds=int(IDLE.total_seconds())))
    return answer


@post("/sign-out", roles=SIGNED_IN, confirmed=PERSON, reads=True, status_code=303)
async def post_sign_out(request: Asked, tenant: Tenant, caller: Caller) -> Html:
    """End this session, in this browser and for whoever holds its cookie."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await sessions.end(conn, session_id=caller.session_id, reason="signed out", now=tenant.clock())
    answer = see_other(SIGN_IN, good("You are signed out."))
    answer.set_cookie(cookie(request, tenant, "", seconds=0))
    return answer


ROUTES = [get_sign_in, post_sign_in, post_sign_out]


def _page(
    request: Asked,
    node: Node,
    tenant: Tenant,
    *,
    back: str,
    given: str = "",
    said: Flash | None = None,
    status: int = 200,
) -> Html:
    return render(
        request,
        "sign_in.html",
        title="Sign in",
        status=status,
        said=said,
        back=back,
        given=given,
        many=bool(node.directory.entries),
        chosen=tenant.name,
    )


async def _is_signed_in(request: Asked, tenant: Tenant) -> bool:
    value = find_cookie(request.scope["headers"], secure=is_secure(tenant.settings, request.scope))
    try:
        await require_person(tenant.database, read_cookie(tenant.keys, value, tenant=tenant.name, now=tenant.clock()))
    except Problem:
        return False
    return True


def _why(problem: Problem) -> str:
    wrong = problem.code.code == "invalid_credentials"
    return "The login or the password is not right." if wrong else problem.detail or problem.code.meaning


def _inside(address: str | None) -> str:
    """Where to go after signing in: a page of ours, nothing that a browser would read as another place."""
    if address is None or not (address == "/console" or address.startswith("/console/")):
        return "/console"
    sound = all(character.isprintable() and character not in "\\" for character in address)
    return address if sound and not address.startswith(SIGN_IN) else "/console"


def _no_device(device_name: str, public_key: dict[str, Any]) -> None:
    """A browser is no registered device, so there is no key to prove."""
