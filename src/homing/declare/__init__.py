"""What an application says that SQL cannot: which tables sync, in which scopes, who writes what, how edits merge.

Pure: nothing here touches a database. The catalogue of all applications is checked as one (``catalogue.py``), and once
more against the database when it is bound (``homing.engine.bind``).
"""

from homing.declare.app import App, Scope, Table
from homing.declare.catalogue import Catalogue, DeclarationError, Mistake
from homing.declare.edits import Edit, Refusal, Who
from homing.declare.policies import (
    Policy,
    by_field,
    by_version,
    client_wins,
    counter,
    furthest,
    last_write_wins,
    manual,
    merged_by,
    server_wins,
    union,
)
from homing.declare.rights import ALL, ANYONE, Rights, may, only
from homing.protocol.rates import Rate

__all__ = [
    "ALL",
    "ANYONE",
    "App",
    "Catalogue",
    "DeclarationError",
    "Edit",
    "Mistake",
    "Policy",
    "Rate",
    "Refusal",
    "Rights",
    "Scope",
    "Table",
    "Who",
    "by_field",
    "by_version",
    "client_wins",
    "counter",
    "furthest",
    "last_write_wins",
    "manual",
    "may",
    "merged_by",
    "only",
    "server_wins",
    "union",
]
