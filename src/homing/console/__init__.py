"""The console: the office's web pages, served by ``homing serve`` at ``/console``.

Server-rendered Jinja with HTMX and a little plain JavaScript; nothing is built and nothing comes from the internet.

**A page** is ``pages/<thing>.py`` beside ``pages/<thing>.html``. The module holds handlers, written and declared as all
routes are (``server/routing.py``: ``roles=``, ``confirmed=``, typed query parameters; ``tenant``, ``caller`` and
``claims`` injected), and lists them in ``ROUTES``; ``pages/__init__.py`` lists the modules, ``nav.py`` the places in
the side navigation. Addresses are written without ``/console``::

    @get("/devices/{device_id:uuid}", roles=OFFICE)
    async def get_device(request: Asked, tenant: Tenant, caller: Caller, device_id: UUID) -> Html:
        async with tenant.database.connection() as conn:
            device = await devices.read(conn, device_id)
        crumbs = [("Devices", "/console/devices")]
        return render(request, "device.html", title=device.name, crumbs=crumbs, device=device)

    @post("/devices/{device_id:uuid}/suspend", roles=OFFICE, status_code=303)
    async def post_suspend(tenant: Tenant, caller: Caller, device_id: UUID, form: Form) -> Html:
        wanted = DeviceChange(status="suspended", reason=form.text("reason"))
        await devices.change(tenant.database, device_id, wanted, by=caller, now=tenant.clock())
        return see_other(f"/console/devices/{device_id}", good("The device is suspended."))

Pages call what the API's routes call, never a query of their own where there is one. A ``Problem`` that a handler
raises becomes a page with its detail. Where a form was refused, the page of the form is rendered again with ``kept=
Kept(form, problem)`` (``kept.py``): every ``ui.field`` then holds what was typed, the one that is wrong says why, and a
dialog is open again (fields in a dialog say ``within="its id"``).
Nobody signed in: the sign-in page, and back. Lists: ``limit`` and ``after`` as in the API (``server/pages.py``); counts
are bounded.

**A template** begins with ``{% extends "layout.html" %}`` and fills ``{% block main %}``; also ``actions`` (buttons
beside the title) and ``head`` (a vendored script for this page alone, ``<script src="{{ static('vendor/…') }}"
defer>``). It has what ``render`` was given, ``me`` (the caller), ``now``, ``path``, ``address(path, given,
**changes)``, ``static(name)`` and these macros (``ui.html``; each says there what it takes):

    ui.table(head, caption)        a table; in ``{% call %}`` the rows. ``<tr data-href="…">`` opens on Enter and click
    ui.pager(page, path, query)    below a list: newer, older
    ui.filters(path)               above a list, in ``{% call %}`` its fields: a GET form that sends itself
    ui.search, ui.choose           a search box and a select, for filters
    ui.field(name, label, …)       a labelled field of a form, with hint and error: ``kind`` is an input's type, or
                                   ``textarea``, ``select`` (with ``options``), ``checkbox``
    ui.form(action)                a POST form with its CSRF token; in ``{% call %}`` the fields and ``ui.submit(…)``
    ui.badge(text, tone)           tones: neutral good warn bad info; ``ui.state(word)`` finds its own (``tones.py``)
    ui.tabs(items, current)        ``items``: (label, address, count or None)
    ui.empty(title, text, icon)    instead of a table without rows
    ui.side_by_side(rows, …)       values of fields beside each other, the different ones marked
    ui.facts(pairs)                names and values
    ui.stat(label, value, …)       a figure on a card
    ui.card(title)                 a framed part of a page, in ``{% call %}`` its content
    ui.confirm(id, title, …)       a dialog that asks before it posts; opened by ``<button data-open="id">``
    ui.time(value)                 a moment: the server's UTC, the reader's time and its age by script
    ui.json(value), ui.value(value), ui.code(text), ui.icon(name), ui.link(href, label, icon), ui.problem(problem)
    ui.chart(id, labels, times, series)        a chart over time (uPlot), and its figures as a table below

Jinja's filters for values are in ``formats.py``. Inside ``{% call %}`` to a macro everything above is there too.
Litestar keeps some parameter names for itself: no handler takes ``state``, ``query``, ``data``, ``body``, ``headers``.
Buttons: class ``button`` with ``primary``, ``danger``, ``quiet``, ``small``; layout: ``row``, ``between``, ``stack``,
``grid``, ``split``, ``stats``, ``form-grid`` (``static/console.css``; a page's own rules go to its end, few). Scripts
of a page alone are ``static/<thing>.js``, loaded in its ``head``.

Everything is escaped; ``|safe`` is nowhere needed. **The content security policy allows no inline script, style, event
handler or eval.** So no ``style=``, no ``onclick=``, no ``hx-on``; behaviour is in ``static/console.js``, hung on
``data-`` attributes (``data-open``, ``data-close``, ``data-copy``, ``data-print``, ``data-hotkey="e"`` clicks on that
key); what a script needs to know stands in a data attribute, ``data-chart='{{ figures|tojson }}'``: in single quotes.

**Live fragments.** A block of a template is also rendered alone: ``render(request, "overview.html", fragment="live",
…)`` for ``<div id="live" hx-get="/console/overview/live" hx-trigger="live" data-live="any">{% block live %}…{%
endblock %}</div>``. ``data-live`` names what the part shows: ``any`` for whatever is written, ``presence``, or the full
types of declared tables; the page asks again when it is told that one of them changed (``pages/live.py``, ADR 66). Live
parts do not keep somebody signed in.

**Writing.** Every request that is no GET passes ``guard.py`` first: from our own origin, and with the session's CSRF
token, which ``ui.form`` and ``ui.confirm`` put in and htmx sends as a header. Nothing needs to be done in a handler. It
takes ``form: Form`` (``forms.py``): ``form.text(name)``, ``form.maybe(name)``, ``form.number(name)``,
``form.flag(name)``, ``form.all(name)``. After writing, answer with ``see_other(address, good("…"))`` (or ``bad``): the
message is shown once by the next page.

**Roles** are declared on the handler and, for the navigation, in ``nav.py``; a template asks ``me.role``.

**A journey test** (``tests/console/``): ``browser_page`` is a fresh page in the one Chromium of the test session,
signed in with ``sign_in_to(page, server)``; a server is shared per module as everywhere (``module_server``). See
``tests/console/test_shell.py``. ``check_page(page)`` runs axe in both themes and refuses errors in the browser's
console and requests to other hosts. ``tests/console/screenshots.py`` names the pages that ``make screenshots`` draws:
add yours.
"""

from __future__ import annotations

from litestar.di import Provide
from litestar.exceptions import HTTPException

from homing.console import failing, static
from homing.console.forms import Form, provide_form
from homing.console.pages import ROUTES as PAGES
from homing.console.pages import home
from homing.console.person import begin
from homing.protocol.errors import Problem
from homing.server.composing import Fresh

CONSOLE = "/console"


def routes() -> list[Fresh]:
    """The console's pages, for one application."""
    return [
        Fresh(
            path=CONSOLE,
            route_handlers=[*PAGES, *static.ROUTES],
            opt={"console": True, "answers": ("text/html",)},
            before_request=begin,
            dependencies={"form": Provide(provide_form, sync_to_thread=False)},
            signature_namespace={"Form": Form},
            exception_handlers={
                Problem: failing.on_problem,
                HTTPException: failing.on_http_exception,
                Exception: failing.on_exception,
            },
        ),
        Fresh(path="/", route_handlers=[home.get_root], opt={"console": True, "answers": ("text/html",)}),
    ]
