-- What is the same in many rows is stored once, and what every pass asked of all rows is kept ready.

-- The rule sets that assessments were made by.
CREATE TABLE rule_sets (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE
) STRICT;
-- What stands for the rules of an assessment that is to be made again.
INSERT INTO rule_sets (id, hash) VALUES (0, zeroblob(32));
INSERT OR IGNORE INTO rule_sets (hash) SELECT DISTINCT rules FROM assessments;

-- Why points were given: a few reasons are those of all records. What a record's own number does
-- (`heat 44 × 0.5`) is here without number and points, which stand with the assessment.
CREATE TABLE hits (
    id  INTEGER PRIMARY KEY,
    hit TEXT NOT NULL UNIQUE     -- JSON
) STRICT;
INSERT OR IGNORE INTO hits (hit) SELECT h.value FROM assessments a, json_each(a.hits) h;

CREATE TABLE assessments_lean (
    record   INTEGER PRIMARY KEY REFERENCES records (id),
    rules    INTEGER NOT NULL REFERENCES rule_sets (id),
    quality  INTEGER NOT NULL,
    heat     INTEGER NOT NULL,
    topic    INTEGER NOT NULL,
    total    INTEGER NOT NULL,
    queue    TEXT,               -- NULL: unrouted
    skipped  INTEGER NOT NULL CHECK (skipped IN (0, 1)),
    flips_at INTEGER,            -- when an age next changes it
    hits     TEXT NOT NULL       -- JSON: numbers of hits, or [number, points, "44"]
) STRICT;
INSERT INTO assessments_lean
    SELECT a.record, (SELECT s.id FROM rule_sets s WHERE s.hash = a.rules), a.quality, a.heat, a.topic, a.total,
           a.queue, a.skipped, a.flips_at,
           (SELECT json_group_array(n) FROM
               (SELECT t.id AS n FROM json_each(a.hits) h JOIN hits t ON t.hit = h.value ORDER BY h.key))
    FROM assessments a;
DROP TABLE assessments;
ALTER TABLE assessments_lean RENAME TO assessments;
CREATE INDEX assessments_by_flip ON assessments (flips_at) WHERE flips_at IS NOT NULL;
CREATE INDEX assessments_by_rules ON assessments (rules, record);

-- Files that are not as most are: few, and asked for often.
CREATE INDEX locations_odd ON locations (source, record) WHERE missing_since IS NOT NULL OR broken_reason IS NOT NULL;
-- By its content is found only what no URL names.
DROP INDEX locations_by_revision;
CREATE INDEX records_by_revision ON records (source, revision) WHERE instr(identity, '://') = 0;
DROP INDEX locations_by_record;
CREATE INDEX locations_by_record ON locations (record, source);

-- Records that have lost a file, and are to be looked at: no file may hold them any more, or the
-- one that leads now may hold another revision.
CREATE TABLE unjudged (
    record INTEGER PRIMARY KEY REFERENCES records (id)
) STRICT;
INSERT INTO unjudged
    SELECT id FROM records r WHERE gone_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM locations WHERE record = r.id)
        AND NOT EXISTS (SELECT 1 FROM moved m WHERE m.record = r.id AND m.revision = r.revision)
    UNION
    SELECT r.id FROM locations l JOIN records r ON r.id = l.record
    WHERE l.revision <> r.revision AND l.missing_since IS NULL AND l.broken_reason IS NULL
        AND NOT EXISTS (SELECT 1 FROM locations o WHERE o.record = r.id AND o.missing_since IS NULL
            AND (o.first_seen < l.first_seen OR o.first_seen = l.first_seen AND o.path < l.path));
CREATE TRIGGER locations_dropped AFTER DELETE ON locations WHEN OLD.record IS NOT NULL
BEGIN INSERT INTO unjudged SELECT OLD.record WHERE OLD.record NOT IN (SELECT record FROM unjudged); END;
CREATE TRIGGER locations_lost AFTER UPDATE ON locations
WHEN OLD.record IS NOT NULL
    AND (NEW.record IS NOT OLD.record OR OLD.missing_since IS NULL AND NEW.missing_since IS NOT NULL)
BEGIN INSERT INTO unjudged SELECT OLD.record WHERE OLD.record NOT IN (SELECT record FROM unjudged); END;
CREATE TRIGGER moved_dropped AFTER DELETE ON moved
BEGIN INSERT INTO unjudged SELECT OLD.record WHERE OLD.record NOT IN (SELECT record FROM unjudged); END;

-- What time does to items is asked every few seconds.
CREATE INDEX items_by_expiry ON items (expires_at) WHERE status = 'pending' AND expires_at IS NOT NULL;

-- Each index is one more page that a decision waits for; these are begun by others.
DROP INDEX decisions_by_item;    -- decisions_by_version
DROP INDEX write_backs_due;      -- write_backs_pending
