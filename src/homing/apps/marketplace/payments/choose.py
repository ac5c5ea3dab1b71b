"""Which gateway a tenant's payments go through."""

from __future__ import annotations

import logging
from pathlib import Path

from homing.apps.marketplace.payments.gateway import Gateway
from homing.apps.marketplace.payments.sandbox import Sandbox
from homing.apps.marketplace.payments.with_stripe import Stripe
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant

log = logging.getLogger("homing.payments")

MENDED_SECONDS = 60
"""When to ask again after a key file could not be read: somebody has to mend it."""


def gateway_of(tenant: Tenant) -> Gateway:
    """Stripe where its keys are set. Otherwise the sandbox, but only where it was asked for or the database is the
    embedded one of a laptop: a real shop must not believe that it was paid.

    Raises Problem: state_conflict where there is none, unavailable where a key cannot be read.
    """
    settings = tenant.settings
    key, webhook = settings.stripe_secret_key_file, settings.stripe_webhook_secret_file
    if key is not None and webhook is not None and settings.payments in (None, "stripe"):
        return Stripe(_secret(key, tenant.name), _secret(webhook, tenant.name), settings.stripe_api_base)
    if settings.payments == "sandbox" or (settings.payments is None and key is None and settings.database_url is None):
        return Sandbox(tuple(tenant.keys.media.values()))
    raise Problem("state_conflict", "Payments are not set up on this server.")


def _secret(file: Path, tenant: str) -> str:
    """Read each time, so that a replaced key needs no restart."""
    path = Path(str(file).replace("{tenant}", tenant))
    try:
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        log.error("no payments for tenant %s: %s", tenant, error)
        secret = ""
    if not secret:
        raise Problem("unavailable", "Payments are not available at the moment.", retry_after=MENDED_SECONDS)
    return secret
