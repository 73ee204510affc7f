-- Files that a rejection has moved out of their source, by where they stood. They stand under the
-- same path in the folder that `reject: {move: …}` names.
CREATE TABLE moved (
    source   TEXT NOT NULL,
    path     TEXT NOT NULL,
    record   INTEGER NOT NULL REFERENCES records (id),
    revision BLOB NOT NULL,
    raw      BLOB NOT NULL,      -- hash of the bytes
    PRIMARY KEY (source, path)
) STRICT;
CREATE INDEX moved_by_record ON moved (record);

-- Which way a write-back moves or has moved its file. NULL: it writes into it.
ALTER TABLE write_backs ADD COLUMN moves TEXT CHECK (moves IN ('out', 'back'));
