-- What reviewers have set for themselves; it only narrows what the rules say.
CREATE TABLE settings (
    reviewer     TEXT PRIMARY KEY,
    paused_until INTEGER,
    stopped      INTEGER NOT NULL CHECK (stopped IN (0, 1)),
    pictures     INTEGER NOT NULL CHECK (pictures IN (0, 1))
) STRICT;

-- Whether a mail told an editor that an item is long overdue: 1 the first time, 2 the second.
ALTER TABLE mail_log ADD COLUMN escalation INTEGER NOT NULL DEFAULT 0 CHECK (escalation IN (0, 1, 2));

-- When a source was first looked at whole: what stood there by then raises no alert.
ALTER TABLE sources ADD COLUMN first_pass_at INTEGER;
UPDATE sources SET first_pass_at = 0;

-- What was told of an item is looked up every few seconds.
CREATE INDEX mail_log_by_item ON mail_log (item);
