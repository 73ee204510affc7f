-- How far the last try of a mail came, and whether its address was refused.
ALTER TABLE mails ADD COLUMN text_at INTEGER;    -- when its text began to go out; NULL: it did not
ALTER TABLE mails ADD COLUMN refused_at INTEGER; -- when the server refused the address for good
CREATE INDEX mails_by_claim ON mails (claimed_at) WHERE claimed_at IS NOT NULL;

-- A version before this one did not say how far it was: the text may be out.
UPDATE mails SET text_at = claimed_at WHERE status = 'sending';

-- Until when the mail server is left alone; no row while it takes mails.
CREATE TABLE relay (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    reason TEXT NOT NULL CHECK (reason IN ('busy', 'login')),
    answer TEXT NOT NULL,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    tries  INTEGER NOT NULL CHECK (tries > 0)
) STRICT;

-- Addresses that are mailed nothing, since the server refused them again and again.
CREATE TABLE suspended (
    address TEXT PRIMARY KEY,
    answer  TEXT NOT NULL,
    since   INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT;
