-- A copy says when it was taken; a database at work has no row here.
CREATE TABLE backup (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

-- When a backup took the place of what was there. Numbers that may have been given out meanwhile
-- are never given out again.
CREATE TABLE restores (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    taken_at  INTEGER,           -- when the backup was taken; NULL where it does not say
    last_item INTEGER NOT NULL,
    last_mail INTEGER NOT NULL
) STRICT;

-- Why a mail is never sent: it was unsent in a backup, and may have gone out since. Its status is
-- `failed`.
ALTER TABLE mails ADD COLUMN held TEXT CHECK (held IS NULL OR status = 'failed');

-- Every decision raises the version, so each version is decided on once.
CREATE UNIQUE INDEX decisions_by_version ON decisions (item, version);
