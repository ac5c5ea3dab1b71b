"""Push notifications: where to send them, what to send, and what was sent.

The three addresses that specification 4 writes are also served exactly as it writes them, below ``/api/mobile``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.params import QueryParameter

from homing.accounts import push_tokens
from homing.accounts.push_tokens import Platform, Provider
from homing.engine.caller import Caller
from homing.notify import inbox, preferences
from homing.notify.inbox import ID_END, Notification, Rate
from homing.notify.preferences import Preferences
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, page_of, read_cursor
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.tenant import Tenant

Asked = Request[Any, Any, Any]
Id = Annotated[int, msgspec.Meta(ge=1, lt=ID_END)]
Days = Annotated[int, QueryParameter(ge=1, le=365, description="Of how many days up to now.")]
Unread = Annotated[bool, QueryParameter(description="Only those that were not read.")]


class NewPushToken(msgspec.Struct, kw_only=True):
    """``POST /mobile/notifications/push-token``. A browser's token is its subscription as JSON, and its platform
    ``web``."""

    pushToken: push_tokens.Text  # noqa: N815 - as the specification spells it
    platform: Platform


class PushTokenKept(msgspec.Struct, frozen=True, kw_only=True):
    """``configured``: whether the server has what it needs to send there; otherwise notifications go to its log."""

    provider: Provider
    platform: Platform
    configured: bool


class PushTokenForgotten(msgspec.Struct, frozen=True):
    removed: bool


class WebPushKey(msgspec.Struct, frozen=True):
    """What ``pushManager.subscribe`` wants as ``applicationServerKey``; null where the server does no Web Push."""

    key: str | None


class Notifications(msgspec.Struct, frozen=True):
    """A page, and how many of all there are were not read."""

    items: list[Notification]
    next: str | None
    unread_count: int


class ReadUpTo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /notifications/read``: everything up to this one, which is the newest that was shown."""

    up_to: Id


class Read(msgspec.Struct, frozen=True):
    """How many were not read before."""

    read: int


class Rates(msgspec.Struct, frozen=True):
    since: datetime
    until: datetime
    items: list[Rate]


@post("/mobile/notifications/push-token", status_code=200, roles=SIGNED_IN, body=NewPushToken)
async def post_push_token(request: Asked, tenant: Tenant, caller: Caller) -> PushTokenKept:
    """Push notifications to this app or browser, until it signs out. Send it again after each sign-in and whenever it
    changes."""
    given = await read(request, NewPushToken)
    settings = tenant.settings
    token = push_tokens.recognise(given.pushToken, given.platform, private=settings.push_private_endpoints)
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await push_tokens.keep(
            conn,
            caller,
            token,
            device_id=caller.device_id,
            most=settings.limits.push_tokens_a_user_max,
            now=tenant.clock(),
        )
    configured = token.provider in tenant.carriers.providers
    return PushTokenKept(provider=token.provider, platform=token.platform, configured=configured)


@delete("/mobile/notifications/push-token", status_code=200, roles=SIGNED_IN)
async def delete_push_token(tenant: Tenant, caller: Caller) -> PushTokenForgotten:
    """Push nothing to this app or browser any more."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return PushTokenForgotten(await push_tokens.forget(conn, caller))


@get("/mobile/notifications/web-push-key", roles=SIGNED_IN)
async def get_web_push_key(tenant: Tenant) -> WebPushKey:
    """The key a web page subscribes with."""
    carrier = tenant.carriers.web_push
    return WebPushKey(None if carrier is None else carrier.public_key)


@get("/mobile/notifications/preferences", roles=SIGNED_IN)
async def get_preferences(tenant: Tenant, caller: Caller) -> Preferences:
    """What the caller wants to be told."""
    return await preferences.read(tenant.database, caller.user_id)


@put("/mobile/notifications/preferences", roles=SIGNED_IN, body=Preferences)
async def put_preferences(request: Asked, tenant: Tenant, caller: Caller) -> Preferences:
    """All four switches at once."""
    wanted = await read(request, Preferences)
    await preferences.write(tenant.database, caller.user_id, wanted)
    return wanted


@get("/mobile/preferences", roles=SIGNED_IN)
async def get_mobile_preferences(tenant: Tenant, caller: Caller) -> dict[str, Any]:
    """What the caller's apps keep of their tastes: theme, language, whatever they like."""
    return await preferences.read_mobile(tenant.database, caller.user_id)


@put("/mobile/preferences", roles=SIGNED_IN, body=dict[str, Any])
async def put_mobile_preferences(request: Asked, tenant: Tenant, caller: Caller) -> dict[str, Any]:
    """In place of what was there."""
    wanted = await read(request, dict[str, Any])
    await preferences.write_mobile(tenant.database, caller.user_id, wanted)
    return wanted


@get("/notifications", roles=SIGNED_IN)
async def get_notifications(
    *, tenant: Tenant, caller: Caller, unread: Unread = False, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Notifications:
    """The caller's notifications, the newest first."""
    place = read_cursor(after, tuple[Id])
    found, count = await inbox.find(
        tenant.database, caller.user_id, unread=unread, after=None if place is None else place[0], limit=limit + 1
    )
    page = page_of(found, limit=limit, place=lambda notification: (notification.id,))
    return Notifications(page.items, page.next, count)


@post("/notifications/read", status_code=200, roles=SIGNED_IN, body=ReadUpTo)
async def post_read_up_to(request: Asked, tenant: Tenant, caller: Caller) -> Read:
    """Everything up to one was read."""
    given = await read(request, ReadUpTo)
    return Read(await inbox.mark_all(tenant.database, caller.user_id, up_to=given.up_to, now=tenant.clock()))


@post("/notifications/{notification_id:int}/read", status_code=200, roles=SIGNED_IN)
async def post_read(tenant: Tenant, caller: Caller, notification_id: int) -> Notification:
    """It was read; again, it stays as it was."""
    return await inbox.mark(tenant.database, caller, notification_id, clicked=False, now=tenant.clock())


@post("/notifications/{notification_id:int}/clicked", status_code=200, roles=SIGNED_IN)
async def post_clicked(tenant: Tenant, caller: Caller, notification_id: int) -> Notification:
    """It was opened from the phone's or browser's own list, and so was read."""
    return await inbox.mark(tenant.database, caller, notification_id, clicked=True, now=tenant.clock())


@post("/notifications/{notification_id:int}/delivered", status_code=204, roles=SIGNED_IN)
async def post_delivered(tenant: Tenant, caller: Caller, notification_id: int) -> None:
    """The caller's device showed it: carriers rarely say."""
    await inbox.note_delivered(tenant.database, caller, notification_id, now=tenant.clock())


@get("/notifications/rates", roles=OFFICE)
async def get_rates(tenant: Tenant, days: Days = 30) -> Rates:
    """What became of everybody's notifications, by platform and carrier."""
    until = tenant.clock()
    since = until - timedelta(days=days)
    return Rates(since, until, await inbox.rates(tenant.database, since=since, until=until))


SPEC_ROUTES = [post_push_token, get_preferences, put_preferences]
"""Below /api, as specification 4 writes them."""

ROUTES = [
    *SPEC_ROUTES,
    delete_push_token,
    get_web_push_key,
    get_mobile_preferences,
    put_mobile_preferences,
    get_notifications,
    post_read_up_to,
    post_read,
    post_clicked,
    post_delivered,
    get_rates,
]
