-- The replica's own tables, beside the synced ones (whose names never begin with an underscore).
--
-- A synced table is derived: it is always `_base` (what the server sent) with the edits of `_outbox` laid over it.
-- So a pull never hides an edit that is still on its way, and a refused edit falls back to what the server has.

CREATE TABLE _state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    device_id TEXT NOT NULL,
    device TEXT,                                -- JSON: what POST /mobile/devices was told, to say it again
    server TEXT,                                -- base URL
    user_id TEXT,                               -- a replica belongs to one user: other eyes, other rows
    schema_version TEXT,
    schema TEXT,                                -- JSON, as served
    limits TEXT,                                -- JSON, as published
    schema_at TEXT,                             -- when both were fetched
    wanted TEXT,                                -- JSON list of resource types; NULL = all
    complete INTEGER NOT NULL DEFAULT 0,        -- the synced tables have equalled the server at one instant
    token TEXT,                                 -- what the synced tables are complete up to
    acked_token TEXT,
    chain_token TEXT,                           -- place in the delta being pulled, ahead of `token`
    replaces TEXT,                              -- JSON list of resource types the delta replaces whole, or "*"
    repair_token TEXT,                          -- place in the narrowed pull that repairs `repair_tables`
    repair_tables TEXT,
    offer_again INTEGER NOT NULL DEFAULT 0      -- the server lost changes it had confirmed: send them once more
) STRICT;

CREATE TABLE _session (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    access_token TEXT NOT NULL,
    refresh_token TEXT NOT NULL
) STRICT;

-- `payload` is the server's text, byte for byte: digests are made of it, and columns this schema does not know yet
-- survive in it.
CREATE TABLE _base (
    resource_type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (resource_type, id)
) STRICT;

-- A delta of several pages, until its last page makes it visible. payload NULL: the row leaves.
CREATE TABLE _staged (
    resource_type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    payload TEXT,
    PRIMARY KEY (resource_type, id)
) STRICT;

-- `entry` is the edit itself, sealed (see entries.py); the columns before it repeat what queries need.
CREATE TABLE _outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    op TEXT NOT NULL UNIQUE,                    -- client_temp_id on the wire, for every action
    resource_type TEXT NOT NULL,
    row_id TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    client_version INTEGER NOT NULL,
    together TEXT,                              -- entries of one all-or-nothing batch
    entry TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'in_flight', 'held', 'applied', 'settled', 'refused', 'conflict')),
    item TEXT,                                  -- as first sent: a repeated key must come with the same body
    batch_token TEXT,
    tries INTEGER NOT NULL DEFAULT 0,           -- verdicts that asked for another try
    passes INTEGER NOT NULL DEFAULT 0,          -- complete pulls since it was applied
    server_id TEXT,
    server_version INTEGER,
    merged INTEGER NOT NULL DEFAULT 0,
    conflict_id TEXT,
    code TEXT,
    error TEXT,
    server_payload TEXT,
    answered_at TEXT
) STRICT;
CREATE INDEX _outbox_row ON _outbox (resource_type, row_id, seq);
CREATE INDEX _outbox_status ON _outbox (status, seq);
CREATE INDEX _outbox_together ON _outbox (together) WHERE together IS NOT NULL;

-- A batch that was, or may have been, sent and is not finally answered. The same token goes with the same items.
CREATE TABLE _batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    batch_token TEXT NOT NULL UNIQUE,
    batch TEXT NOT NULL,                        -- JSON, as it travels, protected against damage
    held INTEGER NOT NULL DEFAULT 0,            -- the server holds it for review: ask again in a later sync
    tries INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE _temp_ids (
    temp_id TEXT PRIMARY KEY,
    resource_type TEXT NOT NULL,
    server_id TEXT
) STRICT;

-- Which temp ids an entry names, as its row or in a reference: it cannot be sent before their creates.
CREATE TABLE _needs (
    op TEXT NOT NULL,
    temp_id TEXT NOT NULL,
    PRIMARY KEY (op, temp_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX _needs_temp ON _needs (temp_id);

CREATE TABLE _attachments (
    id TEXT PRIMARY KEY,                        -- also the name of the copy in the replica's folder
    op TEXT NOT NULL,                           -- the entry whose payload will name the upload
    resource_type TEXT NOT NULL,
    row_id TEXT NOT NULL,
    field TEXT NOT NULL,
    filename TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    details TEXT NOT NULL DEFAULT '{}',         -- JSON: gps, captured_at
    status TEXT NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'presigned', 'uploaded', 'sent', 'failed')),
    key TEXT,
    upload TEXT,                                -- JSON: the presign's answer
    error TEXT
) STRICT;
CREATE INDEX _attachments_op ON _attachments (op);
CREATE INDEX _attachments_row ON _attachments (resource_type, row_id);

-- Names given to synced tables stay, whatever a later schema brings.
CREATE TABLE _tables (
    resource_type TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
