"""Tenants: which ones there are, where each one's database is, and what may be done to it.

``entry``      what is known of a tenant, and its quotas
``control``    the control tables, read and written
``directory``  a node's copy of them
``choose``     which tenant a request is for
``databases``  databases made, dropped, fenced and named
``quotas``     how much a tenant may hold, and what is counted
``copying``    a database copied to another place
"""

from __future__ import annotations

from homing.postgres.migrations import Migrations

CONTROL = Migrations("control", "homing.tenants")
"""The control tables' own migrations: only the default tenant's database has them."""
