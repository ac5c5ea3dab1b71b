"""The person and device behind a call, as the database confirmed them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says. Believed only after the database confirmed that it still holds."""

    user_id: UUID
    role: str
    tenant: str
    platform: str
    session_id: UUID
    device_name: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Confirmed: the user is active, the session open, the device (if any) not revoked.

    ``device_name`` is the external identifier (mobile_devices.device_id), ``device_id`` the row's id.
    """

    user_id: UUID
    role: str
    tenant: str
    platform: str
    session_id: UUID
    device_name: str | None
    device_id: UUID | None
