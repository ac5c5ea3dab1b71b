"""Rendering: a template and what every page has around it, as an answer with the right headers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.types import Scope

from homing.accounts.cookies import IDLE, NAME, NAME_SECURE, csrf_token, write_cookie
from homing.console import flash, formats, static
from homing.console.flash import Flash
from homing.console.kept import Kept
from homing.console.nav import sections_for
from homing.console.person import MARK_KEY, NAME_KEY
from homing.console.tones import tone_of
from homing.engine.caller import Caller
from homing.server.routing import CALLER_KEY, TENANT_KEY, is_secure
from homing.server.tenant import Tenant

Asked: TypeAlias = Request[Any, Any, Any]
Html: TypeAlias = Response[str]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{images}; font-src 'self';"
    " connect-src 'self'; media-src 'self'{images}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing inline, nothing evaluated, nothing from elsewhere but pictures of the file store where that is elsewhere."""

HEADERS: Final = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}

Crumbs = Sequence[tuple[str, str]]


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("homing.console", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    found.filters |= formats.FILTERS
    found.tests |= {"differing": formats.differing, "moment": formats.is_moment}
    found.globals |= {"static": static.address, "icons": static.address("icons.svg"), "address": formats.address}
    found.globals["tone_of"] = tone_of
    return found


_environ = _environment()


def render(
    request: Asked,
    name: str,
    *,
    title: str,
    crumbs: Crumbs = (),
    fragment: str | None = None,
    status: int = 200,
    said: Flash | None = None,
    images: Sequence[str] = (),
    kept: Kept | None = None,
    **values: Any,
) -> Html:
    """The page of template ``name`` (of ``pages/``), or its block ``fragment`` alone.

    ``crumbs``: (label, address) of what is above the page. ``said``: a message on this page; otherwise the one that was
    left for it. ``images``: other origins whose pictures the page may show. ``kept``: a form of the page that was
    refused, which also gives the status.
    """
    scope = request.scope
    tenant, caller = tenant_of(scope), caller_of(scope)
    left = flash.read(request.cookies.get(flash.NAME)) if fragment is None else None
    theme = request.cookies.get("homing_theme")
    csrf = csrf_token(tenant.keys, caller.session_id) if tenant is not None and caller is not None else ""
    values |= {
        "title": title,
        "crumbs": crumbs,
        "said": said or left,
        "kept": kept,
        "me": caller,
        "my_name": scope.get(NAME_KEY),
        "mark": scope.get(MARK_KEY),
        "csrf": csrf,
        "path": scope["path"],
        "query": request.url.query,
        "theme": theme if theme in ("light", "dark") else "auto",
        "tenant_name": "" if tenant is None else tenant.name,
        "nav": [] if tenant is None or caller is None else sections_for(caller.role, {a.name for a in tenant.apps}),
        "now": datetime.now().astimezone() if tenant is None else tenant.clock(),
    }
    template = _environ.get_template(name if "/" in name else f"pages/{name}")
    values["ui"] = _environ.get_template("ui.html").make_module(values)
    text = template.render(values) if fragment is None else _block(template, fragment, values)
    status = status if kept is None else kept.status
    answer = Response(text, media_type="text/html", status_code=status, headers=headers(images))
    if left is not None:
        answer.delete_cookie(flash.NAME, path="/console")
    if fragment is None and tenant is not None and caller is not None:
        answer.set_cookie(session_cookie(request, tenant, caller))
    return answer


def _block(template: Template, name: str, values: dict[str, Any]) -> str:
    return "".join(template.blocks[name](template.new_context(values)))


def headers(images: Sequence[str] = ()) -> dict[str, str]:
    return {**HEADERS, "content-security-policy": POLICY.format(images="".join(f" {origin}" for origin in images))}


def session_cookie(request: Asked, tenant: Tenant, caller: Caller) -> Cookie:
    """The caller's cookie, good from now on."""
    value = write_cookie(
        tenant.keys,
        user_id=caller.user_id,
        role=caller.role,
        tenant=tenant.name,
        session_id=caller.session_id,
        now=tenant.clock(),
    )
    return cookie(request, tenant, value, seconds=int(IDLE.total_seconds()))


def cookie(request: Asked, tenant: Tenant, value: str, *, seconds: int) -> Cookie:
    """The session's cookie with ``value``, for ``seconds``; with 0 it is taken away."""
    secure = is_secure(tenant.settings, request.scope)
    return Cookie(
        key=NAME_SECURE if secure else NAME,
        value=value,
        path="/",
        max_age=seconds,
        httponly=True,
        secure=secure,
        samesite="lax",
    )


def see_other(address: str, said: Flash | None = None) -> Html:
    """After a form: to ``address``, where ``said`` is shown once. htmx follows it as browsers do."""
    assert address.startswith("/console"), "only to pages of ours"
    answer = Response("", media_type="text/html", status_code=303, headers={**headers(), "location": address})
    if said is not None:
        answer.set_cookie(
            Cookie(
                key=flash.NAME,
                value=flash.write(said),
                path="/console",
                max_age=flash.SECONDS,
                httponly=True,
                samesite="lax",
            )
        )
    return answer


def tenant_of(scope: Scope) -> Tenant | None:
    """The request's tenant; None where it was refused before there was one."""
    found: Tenant | None = scope.get(TENANT_KEY)  # type: ignore[assignment]
    return found


def caller_of(scope: Scope) -> Caller | None:
    """Who is signed in; None for nobody."""
    found: Caller | None = scope.get(CALLER_KEY)  # type: ignore[assignment]
    return found


def wants_fragment(request: Asked) -> bool:
    """Whether htmx asks, for a part of a page."""
    return request.headers.get("hx-request") == "true"
