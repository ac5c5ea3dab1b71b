"""The four tables of spec 3 are there with everything it names; what is beyond it may be there too."""

from __future__ import annotations

import psycopg
import pytest

UUID, NAME, STATE, TIME = "uuid", "character varying(255)", "character varying(50)", "timestamp with time zone"

COLUMNS = {
    "homing.users": {
        "id": UUID,
        "username": NAME,
        "user_type": STATE,
        "device_id": NAME,
        "online_status": "boolean",
        "last_seen": TIME,
        "enrolled_at": TIME,
        "enrollment_token_id": UUID,
        "created_at": TIME,
        "updated_at": TIME,
    },
    "messaging.messages": {
        "id": UUID,
        "sender_id": UUID,
        "recipient_id": UUID,
        "content": "text",
        "status": STATE,
        "created_at": TIME,
        "updated_at": TIME,
        "synced_at": TIME,
        "read_at": TIME,
    },
    "homing.sync_metadata": {
        "id": UUID,
        "device_id": NAME,
        "last_sync_timestamp": TIME,
        "pending_outgoing_count": "integer",
        "sync_status": STATE,
        "created_at": TIME,
        "updated_at": TIME,
    },
    "homing.enrollment_tokens": {
        "id": UUID,
        "token": UUID,
        "created_by": UUID,
        "tenant_id": NAME,
        "expires_at": TIME,
        "used_at": TIME,
        "device_id": NAME,
        "created_at": TIME,
        "updated_at": TIME,
    },
}
NULLABLE = {
    "homing.users": {"device_id", "last_seen", "enrolled_at", "enrollment_token_id"},
    "messaging.messages": {"synced_at", "read_at"},
    "homing.sync_metadata": {"last_sync_timestamp"},
    "homing.enrollment_tokens": {"used_at", "device_id"},
}
INDEXES = {
    "homing.users": {"idx_users_user_type", "idx_users_device_id", "idx_users_enrollment_token"},
    "messaging.messages": {
        "idx_messages_sender",
        "idx_messages_recipient",
        "idx_messages_recipient_status",
        "idx_messages_status",
        "idx_messages_created_at",
    },
    "homing.sync_metadata": {"idx_sync_metadata_device", "idx_sync_metadata_status", "sync_metadata_device_id_key"},
    "homing.enrollment_tokens": {
        "enrollment_tokens_token_key",
        "idx_enrollment_tokens_token",
        "idx_enrollment_tokens_created_by",
        "idx_enrollment_tokens_expires_at",
        "idx_enrollment_tokens_used_at",
    },
}
TRIGGERS = {
    "homing.users": {"update_users_updated_at"},
    "messaging.messages": {"update_messages_updated_at", "update_messages_synced_at", "update_messages_read_at"},
    "homing.sync_metadata": {"update_sync_metadata_updated_at"},
    "homing.enrollment_tokens": {"update_enrollment_tokens_updated_at"},
}
CONSTRAINTS = {
    "homing.users": {"chk_user_type", "users_enrollment_token_id_fkey"},
    "messaging.messages": {"chk_status", "fk_messages_sender", "fk_messages_recipient"},
    "homing.sync_metadata": {"chk_sync_status"},
    "homing.enrollment_tokens": {"enrollment_tokens_created_by_fkey"},
}


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_what_the_spec_names(database_url: str, table: str) -> None:
    with psycopg.connect(database_url) as conn:

        def names(query: str) -> set[str]:
            return {row[0] for row in conn.execute(query, [table])}  # type: ignore[call-overload]

        columns = {
            name: (kind, required)
            for name, kind, required in conn.execute(
                "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [table],
            )
        }
        assert {name: columns[name] for name in COLUMNS[table]} == {
            name: (kind, name not in NULLABLE[table]) for name, kind in COLUMNS[table].items()
        }
        indexes = names(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass"
        )
        assert indexes >= INDEXES[table]
        assert names("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass") >= TRIGGERS[table]
        assert names("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass") >= CONSTRAINTS[table]
