-- Who is signed in to the console. A browser holds a random number, and here stands its hash.
CREATE TABLE sessions (
    hash     BLOB PRIMARY KEY,
    reviewer TEXT NOT NULL,      -- her address; empty: who had the link from the terminal
    made_at  INTEGER NOT NULL,
    seen_at  INTEGER NOT NULL
) STRICT;

-- Links that sign in, once.
CREATE TABLE sign_ins (
    hash     BLOB PRIMARY KEY,
    reviewer TEXT NOT NULL,
    made_at  INTEGER NOT NULL,
    ends_at  INTEGER NOT NULL,
    used_at  INTEGER
) STRICT;

-- What programs are let in by.
CREATE TABLE api_tokens (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    hash       BLOB NOT NULL UNIQUE,
    scope      TEXT NOT NULL CHECK (scope IN ('read', 'decide')),
    made_by    TEXT NOT NULL,
    made_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    revoked_at INTEGER,
    used_at    INTEGER
) STRICT;
