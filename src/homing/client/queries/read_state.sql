-- The replica's state, one row.
SELECT device_id, device, server, user_id, schema_version, schema, limits, schema_at, wanted, complete, token, acked_token,
       chain_token, replaces, repair_token, repair_tables, offer_again
FROM _state
