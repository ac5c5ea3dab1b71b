"""The wire's schema: what a client needs to make its own tables. Derived from the catalogue, never written twice."""

from __future__ import annotations

from typing import Any

from homing.declare.rights import Columns
from homing.engine.bind import Bound
from homing.engine.tables import BoundTable, Column


def schema(bound: Bound, role: str) -> dict[str, Any]:
    """Tables, columns with wire types, what this role may write, references and merge policies.

    ``schema_version`` changes whenever what travels changes.
    """
    return {
        "schema_version": bound.digest.hex()[:16],
        "tables": [_table(table, role, bound) for table in bound.tables],
    }


def _table(table: BoundTable, role: str, bound: Bound) -> dict[str, Any]:
    rights = table.rights(role)
    by_name = {each.name: each for each in bound.tables}
    policies = table.declared.merge
    return {
        "name": table.declared.table,
        "resource_type": table.resource_type,
        "app": table.declared.app,
        "key": table.key.name,
        "columns": [_column(table, column, rights.create, rights.update, by_name) for column in table.columns.values()],
        "extra": sorted(table.extra),
        "delete": rights.delete,
        "create": rights.create is not None,
        "soft_delete": table.declared.soft_delete,
        "merge": {
            "default": policies.default.kind,
            "fields": {name: policy.kind for name, policy in policies.fields.items()},
            "by_version": policies.whole,
        },
    }


def _column(
    table: BoundTable, column: Column, create: Columns | None, update: Columns | None, by_name: dict[str, BoundTable]
) -> dict[str, Any]:
    writable = [
        word
        for word, columns in (("create", create), ("update", update))
        if columns is not None
        and not column.generated
        and column.name in columns
        and not (word == "update" and column.name == table.key.name)
    ]
    described: dict[str, Any] = {
        "name": column.name,
        "type": column.wire.kind,
        "nullable": column.nullable,
        "required": not column.nullable
        and column.default is None
        and column.name not in table.declared.fill
        and column.name != table.key.name,
        "writable": writable,
    }
    if column.labels:
        described["enum"] = list(column.labels)
    reference = table.references.get(column.name)
    if reference is not None and reference.table in by_name:
        described["references"] = {
            "resource_type": by_name[reference.table].resource_type,
            "column": reference.to_column,
        }
    return described
