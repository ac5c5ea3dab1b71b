"""A device's fingerprint as it is kept: hashed under a key, so that who reads the table knows no device by it."""

from __future__ import annotations

import hashlib
import hmac

from homing.server.tenant import Tenant


def keyed(tenant: Tenant, fingerprint: str | None) -> bytes | None:
    if fingerprint is None:
        return None
    key = list(tenant.keys.media.values())[-1]  # the oldest: a newer key must not make known devices unknown
    return hmac.new(key, b"payment fingerprint " + fingerprint.encode(), hashlib.sha256).digest()
