"""The route by which an upload becomes a picture of a profile or a job."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, post

from homing.apps.marketplace.images import make_image
from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant


class NewImage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /images``. ``key`` is what presign gave."""

    key: str


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """``id`` goes into a profile's ``avatar_id`` or a job's ``image_id``."""

    id: UUID
    url: str


@post("/images", roles=SIGNED_IN, body=NewImage)
async def post_image(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> Image:
    """Make a picture of a file that was uploaded. The same file again is the same picture."""
    new = await read(request, NewImage)
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        image_id = await make_image(conn, tenant.store, user=caller.user_id, key=new.key)
    return Image(id=image_id, url=f"/api/v1/mobile/media/{image_id}")


ROUTES = (post_image,)
