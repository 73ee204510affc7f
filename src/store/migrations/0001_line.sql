-- Times are microseconds since 1970 in UTC, booleans 0 or 1, hashes 32 bytes.

CREATE TABLE sources (
    name     TEXT PRIMARY KEY,
    alarm    TEXT,               -- why nothing of it is withdrawn; NULL when it is well
    alarm_at INTEGER,
    reading  TEXT,               -- how its files were read: identity, classes, published
    polled   TEXT                -- why its folder cannot be watched
) STRICT;

-- Which keys belonged to which class when a record was hashed.
CREATE TABLE field_classes (
    id      INTEGER PRIMARY KEY,
    classes TEXT NOT NULL UNIQUE -- JSON
) STRICT;

CREATE TABLE records (
    id         INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    identity   TEXT NOT NULL,
    revision   BLOB NOT NULL,
    signal     BLOB NOT NULL,
    classes    INTEGER NOT NULL REFERENCES field_classes (id),
    published  INTEGER NOT NULL CHECK (published IN (0, 1)),
    first_seen INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    gone_at    INTEGER,          -- set while no file holds it
    title      TEXT,
    fields     BLOB NOT NULL,    -- content and signal fields: JSON, LZ4
    body       BLOB NOT NULL,    -- LZ4
    UNIQUE (source, identity)
) STRICT;

CREATE TABLE assessments (
    record   INTEGER PRIMARY KEY REFERENCES records (id),
    rules    BLOB NOT NULL,      -- hash of the rule set that made it
    quality  INTEGER NOT NULL,
    heat     INTEGER NOT NULL,
    topic    INTEGER NOT NULL,
    total    INTEGER NOT NULL,
    queue    TEXT,               -- NULL: unrouted
    skipped  INTEGER NOT NULL CHECK (skipped IN (0, 1)),
    flips_at INTEGER,            -- when an age next changes it
    hits     TEXT NOT NULL       -- JSON
) STRICT;
CREATE INDEX assessments_by_flip ON assessments (flips_at) WHERE flips_at IS NOT NULL;

CREATE TABLE locations (
    source        TEXT NOT NULL,
    path          TEXT NOT NULL,
    record        INTEGER REFERENCES records (id), -- NULL: never readable
    revision      BLOB,
    raw           BLOB,          -- hash of the bytes
    stat          BLOB NOT NULL,
    first_seen    INTEGER NOT NULL,
    missing_since INTEGER,
    broken_line   INTEGER,
    broken_column INTEGER,
    broken_reason TEXT,          -- NULL: it reads
    broken_since  INTEGER,
    PRIMARY KEY (source, path)
) STRICT;
CREATE INDEX locations_by_record ON locations (record);
CREATE INDEX locations_by_revision ON locations (source, revision);

CREATE TABLE items (
    id            INTEGER PRIMARY KEY,
    record        INTEGER NOT NULL UNIQUE REFERENCES records (id),
    queue         TEXT NOT NULL,
    status        TEXT NOT NULL
                  CHECK (status IN ('pending', 'held', 'approved', 'rejected', 'withdrawn', 'expired')),
    version       INTEGER NOT NULL CHECK (version > 0),
    revision      BLOB NOT NULL,
    rank          REAL NOT NULL, -- the highest is read first
    arrived_at    INTEGER NOT NULL,
    due_at        INTEGER,
    expires_at    INTEGER,
    held_until    INTEGER CHECK ((held_until IS NOT NULL) = (status = 'held')),
    changed_after_approval INTEGER NOT NULL DEFAULT 0 CHECK (changed_after_approval IN (0, 1)),
    claimed_by    TEXT,
    claimed_until INTEGER
) STRICT;
CREATE INDEX items_by_rank ON items (queue, rank DESC, id) WHERE status IN ('pending', 'held');

CREATE TABLE decisions (
    id       TEXT PRIMARY KEY,   -- UUID, made by the one who asks
    item     INTEGER NOT NULL REFERENCES items (id),
    kind     TEXT NOT NULL CHECK (kind IN ('approve', 'reject', 'hold', 'reopen')),
    version  INTEGER NOT NULL,   -- the one that it was made on
    revision BLOB NOT NULL,
    actor    TEXT NOT NULL,
    reason   TEXT,
    note     TEXT,
    until    INTEGER,
    at       INTEGER NOT NULL
) STRICT;
CREATE INDEX decisions_by_item ON decisions (item);

CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    item    INTEGER NOT NULL REFERENCES items (id),
    kind    TEXT NOT NULL,
    version INTEGER NOT NULL,    -- of the item, afterwards
    actor   TEXT NOT NULL,
    detail  TEXT,                -- JSON
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_item ON events (item);

CREATE TABLE write_backs (
    id         INTEGER PRIMARY KEY,
    decision   TEXT NOT NULL REFERENCES decisions (id),
    item       INTEGER NOT NULL REFERENCES items (id),
    source     TEXT NOT NULL,
    path       TEXT NOT NULL,
    verb       TEXT NOT NULL CHECK (verb IN ('approve', 'reject', 'reopen', 'unpublish')),
    reassert   INTEGER NOT NULL DEFAULT 0 CHECK (reassert IN (0, 1)),
    status     TEXT NOT NULL
               CHECK (status IN ('pending', 'done', 'superseded', 'stale', 'refused', 'stopped')),
    tries      INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    undo       TEXT,             -- JSON: what takes the write back; NULL: nothing was written
    error      TEXT,
    created_at INTEGER NOT NULL,
    closed_at  INTEGER
) STRICT;
CREATE UNIQUE INDEX write_backs_pending ON write_backs (source, path) WHERE status = 'pending';
CREATE INDEX write_backs_by_item ON write_backs (item);

CREATE TABLE mails (
    id         INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('digest', 'alert')),
    recipient  TEXT NOT NULL,
    reason     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    bytes      BLOB NOT NULL,
    status     TEXT NOT NULL
               CHECK (status IN ('queued', 'sending', 'uncertain', 'sent', 'failed')),
    tries      INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL, -- when it may be tried next
    claimed_at INTEGER,          -- when its last try began
    lost       INTEGER NOT NULL DEFAULT 0, -- tries whose answer was lost: it may have arrived
    created_at INTEGER NOT NULL,
    sent_at    INTEGER,
    answer     TEXT              -- what the server said
) STRICT;
CREATE INDEX mails_by_recipient ON mails (recipient, id);
CREATE INDEX mails_by_status ON mails (status, next_at);

-- Who was told about which items: what counts is what a sent mail says.
CREATE TABLE mail_log (
    mail    INTEGER NOT NULL REFERENCES mails (id),
    item    INTEGER NOT NULL REFERENCES items (id),
    version INTEGER NOT NULL,
    overdue INTEGER NOT NULL CHECK (overdue IN (0, 1)),
    PRIMARY KEY (mail, item)
) STRICT;

CREATE TABLE runs (
    kind   TEXT PRIMARY KEY,     -- scan, notify
    at     INTEGER NOT NULL,
    rules  BLOB NOT NULL,
    counts TEXT NOT NULL         -- JSON
) STRICT;

-- The service that runs, or ran last.
CREATE TABLE service (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    process    INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at    INTEGER NOT NULL,
    stopped    INTEGER NOT NULL CHECK (stopped IN (0, 1))
) STRICT;

-- What is failing in it now: a loop, or the rules that do not load.
CREATE TABLE failures (
    name  TEXT PRIMARY KEY,
    error TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT;

-- Until when a reviewer's schedule has been kept.
CREATE TABLE schedules (
    reviewer TEXT PRIMARY KEY,
    kept_to  INTEGER NOT NULL
) STRICT;
